"""i2v.workers.executors.watch: when a real worker is ended, and how soon."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from i2v.core.errors import I2VError
from i2v.workers.executors import supervisor as supervisor_module
from tests.house import SLACK, Clock, House, endings, is_gone, open_house, start_slowly, wait_until
from tests.rehearsal import write_model

# --- death and hang


@pytest.mark.slow
def test_a_killed_worker_is_noticed_at_once(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        job = house.submit("step 2: hang once")
        house.wait_until_done_once()
        start = time.monotonic()
        house.worker.kill()
        job = house.wait(job, lambda found: found.deaths == 1)  # without that, for ten minutes
        print(f"\na death was noticed after {(time.monotonic() - start) * 1000:.0f} ms, the job ran", end=" ")
        assert house.finish(job).status == "succeeded"
        print(f"again and ended after {time.monotonic() - start:.2f} s")


def test_nothing_that_a_dead_worker_started_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that would write its file long after its worker's death is ended before the file is swept."""
    slow = tmp_path / "ffmpeg"
    slow.write_text(
        f"""#!/bin/bash
        case "$*" in *libx264*.part.mp4) if mkdir {tmp_path}/once; then
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
        wait_until(lambda: len(house.worker.children(recursive=True)) == 2)  # the shell and cat
        started = house.worker.children(recursive=True)
        house.worker.kill()
        assert house.finish(job).status == "succeeded"
        assert all(map(is_gone, started))
        assert not (tmp_path / "late").exists()
        assert house.files(job) == ["JOB.mp4"]


@pytest.mark.parametrize("deed", ["hang", pytest.param("stuck", marks=pytest.mark.slow)])
def test_a_hang_is_noticed_ended_and_tried_again(tmp_path: Path, clock: Clock, deed: str) -> None:
    with open_house(tmp_path) as house:
        job = house.submit(f"step 2: {deed} once")
        house.wait_until_done_once()
        worker = house.worker
        clock.advance(400)  # of 600, which a test does not take
        assert not is_gone(worker)
        clock.advance(210)
        job = house.wait(job, lambda found: found.deaths == 1)
        assert is_gone(worker)
        assert house.finish(job).status == "succeeded"


def test_slow_steps_are_no_hang(tmp_path: Path, clock: Clock) -> None:
    """Together they take longer than a hang may, each alone does not."""
    with open_house(tmp_path) as house:
        clock.per_message = 400
        job = house.run("waves", num_inference_steps=4)
        assert (job.status, job.deaths) == ("succeeded", 0)
        assert clock.beats >= 4 + 4, "a word for each step and frame"


def test_a_worker_that_does_not_start_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "work", start_slowly)
    house = House(tmp_path, worker__start_seconds=0.5)
    house.executor.start()
    wait_until(lambda: house.workers != [])
    first = house.worker
    with pytest.raises(I2VError) as caught:
        house.executor.device()
    assert caught.value.code == "worker.not_started"
    wait_until(lambda: is_gone(first))
    house.executor.stop()


# --- cancel


@pytest.mark.parametrize(
    ("prompt", "cancel", "kill"),  # the seconds that end it; the others are longer than the test
    [
        pytest.param("step: sleep 0.1", 600, 600, marks=pytest.mark.slow),  # the flag, at the next step
        pytest.param("step 2: hang", 0.2, 600, marks=pytest.mark.slow),  # SIGTERM after `cancel_seconds`
        pytest.param("frame 2: hang", 0.2, 600, marks=pytest.mark.slow),  # with ffmpeg at work
        ("step 2: stuck", 0.2, 0.2),  # SIGKILL after `kill_seconds` more
    ],
)
def test_a_cancelled_job_ends_in_its_time(tmp_path: Path, prompt: str, cancel: float, kill: float) -> None:
    with open_house(tmp_path, worker__cancel_seconds=cancel, worker__kill_seconds=kill) as house:
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
        assert house.files(job) == []
        by_flag = cancel > SLACK
        assert is_gone(worker) != by_flag, "the flag costs no loaded engine"
        assert by_flag or taken >= cancel + (kill if kill < SLACK else 0)
        assert house.run().status == "succeeded"


@pytest.mark.slow
def test_a_job_is_cancelled_while_its_model_is_loaded(tmp_path: Path) -> None:
    with open_house(tmp_path, worker__cancel_seconds=0.2, worker__kill_seconds=600) as house:
        write_model(tmp_path, load="load: hang once")
        job = house.submit()
        house.wait_until_done_once()
        start = time.monotonic()
        house.store.cancel(job.id)
        assert house.finish(job).status == "cancelled"
        assert time.monotonic() - start >= 0.2
        assert house.run().status == "succeeded"


@pytest.mark.slow
def test_each_cancelled_job_has_its_full_time(tmp_path: Path, clock: Clock) -> None:
    """Two in a row: the second one's time does not begin with the first one's."""
    with open_house(tmp_path, worker__cancel_seconds=600) as house:
        jobs = [house.submit(f"step 1: wait {tmp_path}/{number}") for number in range(2)]
        worker = house.worker
        for number, job in enumerate(jobs):
            house.wait(job, lambda found: found.phase == "denoising")
            house.store.cancel(job.id)
            clock.advance(400)
            (tmp_path / str(number)).touch()
            assert house.finish(job).status == "cancelled"
        assert not is_gone(worker), "SIGTERM was sent too early"


# --- the service's end


@pytest.mark.parametrize(
    ("prompt", "load", "kill"),
    [
        ("step 2: hang", "", 600),
        pytest.param("frame 3: hang", "", 600, marks=pytest.mark.slow),
        pytest.param("nothing", "load: hang once", 600, marks=pytest.mark.slow),
        pytest.param("step 2: stuck", "", 0.2, marks=pytest.mark.slow),
    ],
)
def test_a_stop_gives_the_job_back(tmp_path: Path, prompt: str, load: str, kill: float) -> None:
    house = House(tmp_path, worker__kill_seconds=kill)
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
    assert time.monotonic() - start < SLACK
    job = house.get(job)
    assert (job.status, job.deaths, job.interruptions) == ("queued", 0, 0)
    assert endings(job) == ["released"]
    assert house.workers == []
    assert house.files(job) == []
    assert house.executor.problem() is not None


def is_deaf(worker: psutil.Process) -> bool:
    """Tell whether the process ignores SIGTERM."""
    ignored = re.search(r"SigIgn:\s+(\w+)", Path(f"/proc/{worker.pid}/status").read_text())
    return ignored is not None and bool(int(ignored[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
def test_a_stop_does_not_wait_for_a_worker_that_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "work", start_slowly)
    house = House(tmp_path, worker__kill_seconds=600)
    house.executor.start()
    wait_until(lambda: house.workers != [])
    wait_until(lambda: is_deaf(house.worker))
    start = time.monotonic()
    house.executor.stop()
    assert time.monotonic() - start < SLACK
    house.executor.stop()  # again: nothing happens
