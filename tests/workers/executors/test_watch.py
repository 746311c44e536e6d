"""i2v.workers.executors.watch: when a real worker is ended, and how soon."""

from __future__ import annotations

import time
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.core.errors import I2VError
from i2v.workers.executors import process as process_module
from tests.house import SLACK, House, endings, is_gone, open_house, start_slowly, wait_until
from tests.rehearsal import write_model

# --- death and hang


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
        house.worker.kill()
        assert house.finish(job).status == "succeeded"
        time.sleep(1)
        assert not (tmp_path / "late").exists()
        assert house.files(job) == ["JOB.mp4"]


@pytest.mark.parametrize("deed", ["hang", pytest.param("stuck", marks=pytest.mark.slow)])
def test_a_hang_is_noticed_ended_and_tried_again(tmp_path: Path, deed: str) -> None:
    seconds = 4.0  # also enough for the process that decodes the picture, on a busy machine
    with open_house(tmp_path, worker__hang_seconds=seconds) as house:
        job = house.submit(f"step 2: {deed} once")
        house.wait(job, lambda found: found.step == 1)
        start = time.monotonic()
        job = house.wait(job, lambda found: found.deaths == 1)
        assert seconds - 0.2 < time.monotonic() - start < seconds + 0.2 + SLACK
        assert house.finish(job).status == "succeeded"


def test_slow_steps_are_no_hang(tmp_path: Path) -> None:
    """Together they take longer than a hang may, each alone does not."""
    with open_house(tmp_path, worker__hang_seconds=3) as house:
        job = house.run("step: sleep 0.05", num_inference_steps=80)
        assert (job.status, job.deaths) == ("succeeded", 0)


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
    assert house.executor.problem() is not None


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
