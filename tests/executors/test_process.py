"""i2v.executors.process, watch and entry: real worker processes that die, hang, are cancelled and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from i2v.errors import I2VError
from i2v.executors import process as process_module
from i2v.executors.process import ProcessExecutor
from i2v.job_store import JobStore
from i2v.jobs import Job
from i2v.video import probe
from tests.clips import names
from tests.rehearsal import ENGINES, find_workers, stage, submit, write_model

SLACK = 3.0  # seconds that a busy machine may add to what is promised


class House:
    """A store, an executor and its settings, and what a test wants to know of them."""

    def __init__(self, folder: Path, **flags: object) -> None:
        self.folder = folder
        self.settings = stage(folder, **flags)
        self.store = JobStore(self.settings.database)
        self.executor = ProcessExecutor(self.settings, self.store, ENGINES, folder / "logs")

    def submit(self, prompt: str = "", **fields: object) -> Job:
        job = submit(self.store, self.settings, prompt, **fields)
        self.executor.wake()
        return job

    def get(self, job: Job) -> Job:
        return self.store.get(job.id)

    def wait(self, job: Job, until: Callable[[Job], bool], seconds: float = 30) -> Job:
        end = time.monotonic() + seconds
        while not until(found := self.store.get(job.id)):
            assert time.monotonic() < end, f"{found.status}, {found.phase} {found.step} after {seconds} s"
            time.sleep(0.005)
        return found

    def finish(self, job: Job) -> Job:
        return self.wait(job, lambda found: found.finished_at is not None)

    def run(self, prompt: str = "", **fields: object) -> Job:
        return self.finish(self.submit(prompt, **fields))

    def wait_until_done_once(self) -> None:
        """Wait for a deed that is ordered `once`: it leaves a file beside the model's own."""
        wait_until(lambda: len(names(self.settings.models.directory / "rehearsal")) > 1)

    @property
    def workers(self) -> list[psutil.Process]:
        return find_workers(os.getpid())

    @property
    def worker(self) -> psutil.Process:
        (worker,) = self.workers
        return worker

    def files(self, job: Job) -> list[str]:
        """Return which files of the job there are: its video, and parts of it."""
        folder = self.settings.output.directory
        found = names(folder) if folder.exists() else []
        return [name.replace(job.id, "JOB") for name in found if job.id in name]

    @property
    def log(self) -> str:
        return (self.folder / "logs" / "worker.log").read_text()


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(done: Callable[[], bool], seconds: float = 30) -> float:
    """Return how long it took."""
    start = time.monotonic()
    while not done():
        assert time.monotonic() - start < seconds, f"nothing happened in {seconds} s"
        time.sleep(0.002)
    return time.monotonic() - start


@contextmanager
def open_house(folder: Path, **flags: object) -> Iterator[House]:
    house = House(folder, **flags)
    house.executor.start()
    try:
        yield house
    finally:
        house.executor.stop()
        house.store.close()
        assert house.workers == []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests that need no other settings: a worker that dies is started again anyway."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


def endings(job: Job) -> list[str]:
    return [attempt.ending for attempt in job.history]


# --- work


def test_jobs_are_done_in_another_process_one_after_another(house: House) -> None:
    assert house.executor.device().type == "cpu"
    assert house.executor.is_ready()
    worker = house.worker
    jobs = [house.submit() for _ in range(3)]
    for job in jobs:
        assert house.finish(job).status == "succeeded"
        assert house.files(job) == ["JOB.mp4"]
        assert probe(Path(job.output)).num_frames == 4
        assert f"{worker.pid} INFO job {job.id}: succeeded" in house.log
    assert not is_gone(worker)


def test_a_terminals_ctrl_c_does_not_reach_the_worker(house: House) -> None:
    house.executor.device()
    assert os.getsid(house.worker.pid) == house.worker.pid != os.getsid(0)


# --- death


@pytest.mark.parametrize("deed", ["segfault", "kill"])
def test_a_job_is_tried_again_when_its_worker_died(house: House, deed: str) -> None:
    job = house.run(f"frame 2: {deed} once")
    assert (job.status, job.deaths, job.attempt) == ("succeeded", 1, 2)
    assert endings(job) == ["died", "succeeded"]
    assert house.files(job) == ["JOB.mp4"]
    if deed == "segfault":
        assert "Segmentation fault" in house.log
        assert 'rehearsal.py", line' in house.log, "the last stack"


def test_a_killed_worker_is_noticed_at_once(house: House) -> None:
    house.run()
    job = house.submit("step 2: hang once")
    house.wait(job, lambda found: found.step == 1)
    start = time.monotonic()
    house.worker.kill()
    job = house.wait(job, lambda found: found.status == "queued")
    noticed = time.monotonic() - start
    house.wait(job, lambda found: found.status == "running")
    print(f"\na death was noticed after {noticed * 1000:.0f} ms, the job ran again after", end=" ")
    print(f"{time.monotonic() - start:.2f} s")
    assert noticed < 0.15 + SLACK
    assert job.deaths == 1
    assert house.finish(job).status == "succeeded"


def test_a_job_under_which_the_worker_died_twice_fails_and_the_next_one_runs(house: House) -> None:
    deadly, harmless = house.submit("frame 2: kill"), house.submit()
    job = house.finish(deadly)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "job.worker_died"
    assert "died 2 times" in str(job.error["message"])
    assert endings(job) == ["died", "died"]
    job = house.finish(harmless)
    assert (job.status, job.deaths) == ("succeeded", 0)
    assert house.files(job) == ["JOB.mp4"]


def test_nothing_that_a_dead_worker_started_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that would write its file long after its worker's death is ended before the file is swept."""
    slow = tmp_path / "ffmpeg"
    slow.write_text(
        f"""#!/bin/bash
        case "$*" in *libx264*) if mkdir {tmp_path}/once; then
            cat > /dev/null; sleep 1; touch {tmp_path}/late; touch "${{@: -1}}"; exit
        fi; esac 2> /dev/null
        exec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"
        """
    )
    slow.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(slow))
    with open_house(tmp_path) as house:
        job = house.submit("frame 3: hang once")
        house.wait(job, lambda found: (found.phase, found.step) == ("decoding", 2))
        assert len(house.worker.children(recursive=True)) == 2, "the shell and cat"
        house.worker.kill()
        assert house.finish(job).status == "succeeded"
        time.sleep(1)
        assert not (tmp_path / "late").exists()
        assert house.files(job) == ["JOB.mp4"]


@pytest.mark.parametrize("deed", ["hang", "stuck"])
def test_a_hang_is_noticed_ended_and_tried_again(tmp_path: Path, deed: str) -> None:
    with open_house(tmp_path, worker__hang_seconds=0.6) as house:
        job = house.submit(f"step 2: {deed} once")
        house.wait(job, lambda found: found.step == 1)
        start = time.monotonic()
        job = house.wait(job, lambda found: found.deaths == 1)
        assert 0.4 < time.monotonic() - start < 0.6 + 0.2 + SLACK
        assert house.finish(job).status == "succeeded"


def test_slow_steps_are_no_hang(tmp_path: Path) -> None:
    with open_house(tmp_path, worker__hang_seconds=0.6) as house:
        job = house.run("step: sleep 0.3")
        assert (job.status, job.deaths) == ("succeeded", 0)


# --- failures that the worker survives


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("frame 2: memory", "engine.out_of_memory"),
        ("frame 2: fail", "job.internal"),
        ("step 1: refuse", "weights.missing_file"),
    ],
)
def test_a_failed_job_is_not_tried_again(house: House, prompt: str, code: str) -> None:
    job = house.run(prompt)
    assert (job.status, job.deaths, job.attempt) == ("failed", 0, 1)
    assert job.error is not None
    assert job.error["code"] == code
    assert house.files(job) == []
    assert house.run().status == "succeeded"
    if code == "job.internal":
        assert "RuntimeError: rehearsed" in house.log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root and permission to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_fails_the_job_and_is_named(small_disk: Path, tmp_path: Path) -> None:
    with open_house(tmp_path, output__directory=small_disk / "videos") as house:
        job = house.run(f"step 2: fill {small_disk}")
        assert (job.status, job.deaths) == ("failed", 0)
        assert job.error is not None
        assert job.error["code"] == "encode.no_space"
        assert house.files(job) == []
        (small_disk / "filler").unlink()
        assert house.run().status == "succeeded"


def test_a_disk_that_fills_up_under_the_database_too_loses_no_job(small_disk: Path) -> None:
    """Everything lies on it: what has happened is told when there is room again."""
    with open_house(small_disk) as house:
        job = house.submit(f"step 2: fill {small_disk}; step 2: sleep 1")
        wait_until((small_disk / "filler").exists)
        wait_until(lambda: "asked again" in house.log or house.get(job).finished_at is not None, 15)
        (small_disk / "filler").unlink()
        job = house.finish(job)
        assert job.error is not None
        assert (job.status, job.deaths, job.error["code"]) == ("failed", 0, "encode.no_space")
        assert house.run().status == "succeeded"


# --- cancel


@pytest.mark.parametrize(
    ("prompt", "least", "most"),
    [
        ("step: sleep 0.3", 0, 0.3),  # the flag, at the next step
        ("step 2: hang", 0.5, 0.9),  # SIGTERM after `cancel_seconds`, noticed within two ticks
        ("frame 2: hang", 0.5, 0.9),  # with ffmpeg at work
        ("step 2: stuck", 1, 1.6),  # SIGKILL after `kill_seconds` more
    ],
)
def test_a_cancelled_job_ends_in_its_time(house: House, prompt: str, least: float, most: float) -> None:
    job = house.submit(prompt)
    phase = "denoising" if prompt.startswith("step") else "decoding"
    house.wait(job, lambda found: (found.phase, found.step) == (phase, 1))
    worker = house.worker
    start = time.monotonic()
    house.store.cancel(job.id)
    job = house.finish(job)
    taken = time.monotonic() - start
    print(f"\n{prompt}: cancelled after {taken:.2f} s")
    assert (job.status, job.deaths) == ("cancelled", 0)
    assert least <= taken < most + SLACK
    assert house.files(job) == []
    assert is_gone(worker) == (least > 0), "the flag costs no loaded engine"
    start = time.monotonic()
    assert house.run().status == "succeeded"
    assert time.monotonic() - start < 2 + SLACK, "a worker that was told to end is no reason to wait"


def test_a_job_is_cancelled_while_its_model_is_loaded(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        write_model(tmp_path, load="load: hang once")
        job = house.submit()
        house.wait_until_done_once()
        start = time.monotonic()
        house.store.cancel(job.id)
        assert house.finish(job).status == "cancelled"
        assert 0.5 <= time.monotonic() - start < 0.9 + SLACK
        assert house.run().status == "succeeded"


def test_each_cancelled_job_has_its_full_time(tmp_path: Path) -> None:
    """Two in a row: the second one's time does not begin with the first one's."""
    with open_house(tmp_path, worker__cancel_seconds=1.2) as house:
        first, second = house.submit("step 1: sleep 0.8"), house.submit("step 1: sleep 0.8")
        worker = house.worker
        for job in (first, second):
            house.wait(job, lambda found: found.phase == "denoising")
            house.store.cancel(job.id)
            assert house.finish(job).status == "cancelled"
        assert not is_gone(worker), "SIGTERM was sent too early"


def test_a_second_signal_does_not_disturb_the_unwinding(house: House) -> None:
    job = house.submit("frame 3: hang once")
    house.wait(job, lambda found: found.phase == "decoding" and found.step == 2)
    worker = house.worker
    for _ in range(20):
        if not is_gone(worker):
            worker.terminate()
        time.sleep(0.002)
    job = house.finish(job)
    assert endings(job) == ["released", "succeeded"], "an end in order is held against nobody"
    assert house.files(job) == ["JOB.mp4"]


# --- the service's end


@pytest.mark.parametrize(
    ("prompt", "load", "most"),
    [
        ("step 2: hang", "", 0.5),
        ("frame 3: hang", "", 0.5),
        ("nothing", "load: hang once", 0.5),
        ("step 2: stuck", "", 1),
    ],
)
def test_a_stop_gives_the_job_back(tmp_path: Path, prompt: str, load: str, most: float) -> None:
    house = House(tmp_path)
    write_model(tmp_path, load)
    house.executor.start()
    job = house.submit(prompt)
    if load:
        house.wait_until_done_once()
    else:
        wanted = ("denoising", 1) if prompt.startswith("step") else ("decoding", 2)
        house.wait(job, lambda found: (found.phase, found.step) == wanted)
    start = time.monotonic()
    house.executor.stop()
    assert time.monotonic() - start < most + SLACK
    job = house.get(job)
    assert (job.status, job.deaths, job.interruptions) == ("queued", 0, 0)
    assert endings(job) == ["released"]
    assert house.workers == []
    assert house.files(job) == []
    assert not house.executor.is_ready()


def start_slowly(*_: object) -> None:
    """Be a worker process that loads libraries for ever, deaf to signals meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def test_a_stop_does_not_wait_for_a_worker_that_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "work", start_slowly)
    house = House(tmp_path, worker__kill_seconds=30)
    house.executor.start()
    wait_until(lambda: house.workers != [])
    time.sleep(0.5)  # it is deaf by now
    start = time.monotonic()
    house.executor.stop()
    assert time.monotonic() - start < 0.5 + SLACK
    house.executor.stop()  # again: nothing happens


def test_an_executor_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.executor.stop()
    assert not house.executor.is_ready()


SERVICE = """
import sys
from pathlib import Path
from tests.executors.test_process import House
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
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as service:
        assert service.stdout is not None
        worker, ffmpeg = (psutil.Process(int(pid)) for pid in service.stdout.readline().split())
        assert "ffmpeg" in ffmpeg.name()
        start = time.monotonic()
        service.kill()
        wait_until(lambda: is_gone(worker), 5)
        died = time.monotonic() - start
        wait_until(lambda: is_gone(ffmpeg), 5)
        print(f"\nthe worker died {died * 1000:.0f} ms after its service,", end=" ")
        print(f"ffmpeg {(time.monotonic() - start) * 1000:.0f} ms")
    with open_house(tmp_path) as house:
        (job,) = house.store.recover_interrupted()
        assert (job.status, job.interruptions, job.deaths) == ("queued", 1, 0)


# --- idle, start, back-off


def test_an_idle_worker_ends_and_the_next_job_starts_another(tmp_path: Path) -> None:
    with open_house(tmp_path, worker__idle_seconds=0.5) as house:
        assert house.run().status == "succeeded"
        worker = house.worker
        wait_until(lambda: house.workers == [], 0.5 + SLACK)
        assert house.executor.is_ready()
        used = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - used < 0.15, "it waits for work, and does not look for it without end"
        assert house.run().status == "succeeded"
        assert house.worker.pid != worker.pid


def test_no_job_is_forgotten_when_the_worker_is_about_to_end(tmp_path: Path) -> None:
    """Jobs arrive just before, at, and after its end."""
    with open_house(tmp_path, worker__idle_seconds=0.01) as house:
        for pause in (0, 0.05, 0.1, 0.2):
            assert house.run().status == "succeeded"
            time.sleep(pause)


def test_what_keeps_the_worker_from_starting_is_told(tmp_path: Path) -> None:
    """At once, not after `start_seconds`; and when it is put right, the next try finds out."""
    house = House(tmp_path)
    elsewhere = house.settings.model_copy(
        update={"service": house.settings.service.model_copy(update={"data_dir": tmp_path / "broken"})}
    )
    elsewhere.database.mkdir(parents=True)
    house.executor = ProcessExecutor(elsewhere, house.store, ENGINES, tmp_path / "logs")
    house.executor.start()
    with pytest.raises(I2VError) as caught:
        house.executor.device()
    assert caught.value.code == "database.unusable"
    assert not house.executor.is_ready()
    elsewhere.database.rmdir()
    wait_until(house.executor.is_ready)
    assert house.executor.device().type == "cpu"
    house.executor.stop()


def test_a_worker_that_ends_before_its_first_word_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    monkeypatch.setattr(process_module, "work", print)  # takes other arguments, and says nothing
    house.executor.start()
    with pytest.raises(I2VError, match="does not start") as caught:
        house.executor.device()
    assert str(tmp_path / "logs" / "worker.log") in caught.value.message
    assert not house.executor.is_ready()
    monkeypatch.undo()
    wait_until(house.executor.is_ready)
    house.executor.stop()


def test_a_worker_that_does_not_start_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "work", start_slowly)
    house = House(tmp_path, worker__start_seconds=0.5)
    house.executor.start()
    wait_until(lambda: house.workers != [])
    first = house.worker
    with pytest.raises(I2VError) as caught:
        house.executor.device()
    assert caught.value.code == "worker.not_started"
    wait_until(lambda: is_gone(first), 1 + SLACK)
    house.executor.stop()


def test_it_is_known_how_a_worker_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    ends: list[tuple[bool, bool]] = []
    run_worker = house.executor._run_worker

    def listen() -> tuple[bool, bool]:
        ends.append(run_worker())
        return ends[-1]

    monkeypatch.setattr(house.executor, "_run_worker", listen)
    house.executor.start()
    for prompt in ("step 1: kill once", "step 2: kill once"):
        house.run(prompt)
    house.executor.stop()
    assert ends == [(False, False), (False, True), (True, True)], "(well, with a job done)"


def test_deaths_in_a_row_make_the_next_start_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as late each time, up to a limit; anew after a worker that has done a job."""
    monkeypatch.setattr(process_module, "FIRST_BACK_OFF", 0.05)
    monkeypatch.setattr(process_module, "LAST_BACK_OFF", 0.2)
    house = House(tmp_path)
    starts: list[float] = []
    ends = iter([*[(False, False)] * 5, (False, True), (False, False), (True, False)])

    def run_worker() -> tuple[bool, bool]:
        starts.append(time.monotonic())
        end = next(ends, None)
        if end is None:
            house.executor._stopping.set()
        return end or (True, False)

    monkeypatch.setattr(house.executor, "_run_worker", run_worker)
    house.executor.start()
    house.executor._thread.join()
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    for gap, expected in zip(gaps, [0.05, 0.1, 0.2, 0.2, 0.2, 0.05, 0.1, 0.0], strict=True):
        assert expected <= gap < expected + 0.045, gaps


def test_logs_that_cannot_be_written_stop_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with open_house(tmp_path) as house:
        assert house.run().status == "succeeded"


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").write_bytes(b"old\n" * 1_500_000)
    with open_house(tmp_path) as house:
        house.run()
        assert "old" not in house.log
        assert (tmp_path / "logs" / "worker.1.log").stat().st_size == 6_000_000
