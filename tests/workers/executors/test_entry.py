"""i2v.workers.executors.entry: signals, the log, and the end of the service, inside a real worker."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from i2v.core.log_context import about_request, request_id_of
from i2v.core.settings_sources import ROOT
from tests.house import House, endings, is_gone, open_house, wait_until

# --- signals


@pytest.mark.slow
def test_a_terminals_ctrl_c_does_not_reach_the_worker_nor_a_second_signal_its_unwinding(
    tmp_path: Path,
) -> None:
    with open_house(tmp_path) as house:
        assert os.getsid(house.worker.pid) == house.worker.pid != os.getsid(0)
        check_the_unwinding(house)


def check_the_unwinding(house: House) -> None:
    job = house.submit("frame 3: hang once")
    house.wait_until_done_once()
    worker = house.worker
    with suppress(psutil.NoSuchProcess):  # it may end between two signals
        for _ in range(20):
            worker.terminate()
            time.sleep(0.002)
    job = house.finish(job)
    assert endings(job) == ["released", "succeeded"], "an end in order is held against nobody"
    assert house.files(job) == ["JOB.mp4"]


# --- the service's death


SERVICE = """
import sys
from pathlib import Path
from i2v.core.settings_sources import ROOT
from tests.house import House
if __name__ == "__main__":
    house = House(Path(sys.argv[1]))
    house.executor.start()
    job = house.submit("frame 3: stuck")
    house.wait(job, lambda found: found.phase == "decoding" and found.step == 2)
    print(house.worker.pid, *(child.pid for child in house.worker.children()), flush=True)
    sys.stdin.read()
"""


def test_worker_and_ffmpeg_die_with_a_killed_service(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as service:
        assert service.stdout is not None
        worker, ffmpeg = (psutil.Process(int(pid)) for pid in service.stdout.readline().split())
        assert "ffmpeg" in ffmpeg.name()
        start = time.monotonic()
        service.kill()
        wait_until(lambda: is_gone(worker))
        died = time.monotonic() - start
        wait_until(lambda: is_gone(ffmpeg))
        print(f"\nthe worker died {died * 1000:.0f} ms after its service,", end=" ")
        print(f"ffmpeg {(time.monotonic() - start) * 1000:.0f} ms")
    with open_house(tmp_path) as house:
        (job,) = house.store.recover_interrupted()
        assert (job.status, job.interruptions, job.deaths) == ("queued", 1, 0)


# --- the log


def test_logs_that_cannot_be_written_stop_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with open_house(tmp_path) as house:
        assert house.run().status == "succeeded"


@pytest.mark.slow
def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").write_bytes(b"old\n" * 1_500_000)
    with open_house(tmp_path) as house:
        house.run()
        assert "old" not in house.log
        assert (tmp_path / "logs" / "worker.1.log").stat().st_size == 6_000_000


@pytest.mark.slow
def test_a_job_s_lines_name_its_request_in_both_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with open_house(tmp_path) as house:
        with about_request("r-17"):
            first = house.run()
        second = house.run()
        about = {
            job.id: {line.endswith("[r-17]") for line in house.log.splitlines() if job.id in line}
            for job in (first, second)
        }
    assert about == {first.id: {True}, second.id: {False}}
    forwarded = [record for record in caplog.records if record.name.startswith("i2v.workers.worker")]
    assert {request_id_of(each) for each in forwarded if first.id in each.getMessage()} == {"r-17"}
    assert {request_id_of(each) for each in forwarded if second.id in each.getMessage()} == {""}


CHATTER = """
import os, sys, time
from pathlib import Path
import i2v.workers.executors.entry as entry
entry.LOG_BYTES, entry.LOG_SECONDS = 20_000, 0.02
path = Path(sys.argv[1])
entry._log_to(path)
for number in range(3000):
    os.write(1 + number % 2, b"line %04d of a library\\n" % number)
    if number % 500 == 499:
        until = time.monotonic() + 30
        while os.fstat(2).st_size > 20_000 and time.monotonic() < until:
            time.sleep(0.01)
path.unlink()
until = time.monotonic() + 30
while not path.exists() and time.monotonic() < until:
    time.sleep(0.01)
print("after it was taken away", flush=True)
"""


def test_the_log_is_put_aside_while_the_worker_runs_and_no_line_is_lost_between(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    subprocess.run([sys.executable, "-c", CHATTER, str(path)], cwd=ROOT, check=True, timeout=120)
    assert path.read_text() == "after it was taken away\n"
    before = path.with_name("worker.1.log").read_text().splitlines()
    numbers = [int(line[5:9]) for line in before]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert 500 <= len(numbers) < 3000
