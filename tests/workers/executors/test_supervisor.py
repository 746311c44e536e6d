"""i2v.workers.executors.supervisor: real workers die, fail, idle and do not start; their jobs go on."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.workers.executors import supervisor as supervisor_module
from i2v.workers.executors.entry import Ready
from i2v.workers.executors.process import ProcessExecutor
from i2v.workers.executors.watch import Watch
from tests import disks
from tests.house import SLACK, House, endings, is_gone, open_house, wait_until
from tests.rehearsal import ENGINES, submit

# --- work


def test_jobs_are_done_in_another_process_one_after_another(house: House) -> None:
    assert house.executor.device().type == "cpu"
    assert house.executor.device_now() == house.executor.device()
    assert house.executor.problem() is None
    worker = house.worker
    jobs = [house.submit() for _ in range(3)]
    for job in jobs:
        assert house.finish(job).status == "succeeded"
        assert house.files(job) == ["JOB.mp4"]
        assert probe(Path(job.output)).num_frames == 4
        line = f"{worker.pid} INFO job {job.id}: succeeded"  # written after the table says so
        wait_until(lambda line=line: line in house.log)
    assert not is_gone(worker)


# --- death


@pytest.mark.parametrize("deed", [pytest.param("segfault", marks=pytest.mark.slow), "kill"])
def test_a_job_is_tried_again_when_its_worker_died(house: House, deed: str) -> None:
    job = house.run(f"frame 2: {deed} once")
    assert (job.status, job.deaths, job.attempt) == ("succeeded", 1, 2)
    assert endings(job) == ["died", "succeeded"]
    assert house.files(job) == ["JOB.mp4"]
    if deed == "segfault":
        assert "Segmentation fault" in house.log
        assert 'rehearsal.py", line' in house.log, "the last stack"


def test_a_job_under_which_the_worker_died_twice_fails_and_the_next_one_runs(house: House) -> None:
    deadly, harmless = house.submit("frame 4: kill"), house.submit()
    job = house.finish(deadly)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "job.worker_died"
    assert "crashed 2 times" in str(job.error["message"])
    assert endings(job) == ["died", "died"]
    wait_until(lambda: house.files(job) == [])
    job = house.finish(harmless)
    assert (job.status, job.deaths) == ("succeeded", 0)
    assert house.files(job) == ["JOB.mp4"]


@pytest.mark.slow
def test_it_is_known_how_a_worker_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    ends: list[tuple[bool, bool]] = []
    run_worker = house.supervisor._run_worker

    def listen() -> tuple[bool, bool]:
        ends.append(run_worker())
        return ends[-1]

    monkeypatch.setattr(house.supervisor, "_run_worker", listen)
    house.executor.start()
    for prompt in ("step 1: kill once", "step 2: kill once", "waves"):  # a worker's next job ends its first
        house.run(prompt)
    house.executor.stop()
    assert ends == [(False, False), (False, True), (True, True)], "(well, with a job done)"


def test_deaths_in_a_row_make_the_next_start_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as late each time, up to a limit; anew after a worker that has done a job."""
    monkeypatch.setattr(supervisor_module, "FIRST_BACK_OFF", 0.05)
    monkeypatch.setattr(supervisor_module, "LAST_BACK_OFF", 0.2)
    house = House(tmp_path)
    ends = iter([*[(False, False)] * 5, (False, True), (False, False), (True, False)])
    happened: list[float | str] = []

    class Recorded(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            happened.append(timeout)  # and nobody waits
            return self.is_set()

    def run_worker() -> tuple[bool, bool]:
        happened.append("start")
        end = next(ends, None)
        if end is None:
            house.executor.stopping.set()
        return end or (True, False)

    monkeypatch.setattr(house.executor, "stopping", Recorded())
    monkeypatch.setattr(house.supervisor, "_run_worker", run_worker)
    house.executor.start()
    house.supervisor._thread.join()
    assert happened[1::2] == ["start"] * 9
    assert happened[::2] == [0.0, 0.05, 0.1, 0.2, 0.2, 0.2, 0.05, 0.1, 0.0, 0.0], "and the last is the stop"


# --- failures that the worker survives


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        pytest.param("frame 2: memory", "ladder.exhausted", marks=pytest.mark.slow),
        ("frame 2: fail", "job.internal"),
        pytest.param("step 1: refuse", "weights.missing_file", marks=pytest.mark.slow),
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
    with disks.small_disk(tmp_path / "disk", "70m") as folder:
        yield folder


@pytest.mark.slow
def test_a_disk_that_fills_up_fails_the_job_and_is_named(small_disk: Path, tmp_path: Path) -> None:
    with open_house(tmp_path, output__directory=small_disk / "videos") as house:
        job = house.run(f"step 2: fill {small_disk}")
        assert (job.status, job.deaths) == ("failed", 0)
        assert job.error is not None
        assert job.error["code"] == "encode.no_space"
        assert house.files(job) == []
        (small_disk / "filler").unlink()
        assert house.run().status == "succeeded"


@pytest.mark.slow
def test_a_disk_that_fills_up_under_the_database_too_loses_no_job(small_disk: Path) -> None:
    """Everything lies on it: what has happened is told in the room that was taken for the frames."""
    with open_house(small_disk) as house:
        job = house.run(f"step 2: fill {small_disk}")
        assert job.error is not None
        assert (job.status, job.deaths, job.error["code"]) == ("failed", 0, "encode.no_space")
        (small_disk / "filler").unlink()
        assert house.run().status == "succeeded"


# --- start, idle, stop


@pytest.mark.slow
def test_what_keeps_the_worker_from_starting_is_reported(tmp_path: Path) -> None:
    """At once, not after `start_seconds`; and when it is put right, the next try finds out."""
    house = House(tmp_path)
    elsewhere = house.settings.model_copy(
        update={"service": house.settings.service.model_copy(update={"data_dir": tmp_path / "broken"})}
    )
    elsewhere.database.mkdir(parents=True)
    house.executor = ProcessExecutor(elsewhere, house.store, ENGINES, tmp_path / "logs")
    assert house.executor.device_now() is None
    house.executor.start()
    for ask in (house.executor.device, house.executor.device_now):
        with pytest.raises(I2VError) as caught:
            ask()
        assert caught.value.code == "database.unusable"
    assert house.executor.problem() is not None
    elsewhere.database.rmdir()
    JobStore(elsewhere.database).close()
    wait_until(lambda: house.executor.problem() is None)
    assert house.executor.device().type == "cpu"
    house.executor.stop()


@pytest.mark.slow
def test_a_worker_that_ends_before_its_first_word_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    monkeypatch.setattr(supervisor_module, "work", print)  # takes other arguments, and says nothing
    house.executor.start()
    with pytest.raises(I2VError, match="does not start") as caught:
        house.executor.device()
    assert str(tmp_path / "logs" / "worker.log") in caught.value.message
    assert house.executor.problem() is not None
    monkeypatch.undo()
    wait_until(lambda: house.executor.problem() is None)
    house.executor.stop()


@pytest.mark.slow
def test_an_idle_worker_ends_and_the_next_job_starts_another(tmp_path: Path) -> None:
    waits: list[float | None] = []

    class Recorded(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return super().wait(timeout)

    house = House(tmp_path, worker__idle_seconds=0.5)
    house.supervisor._wanted = Recorded()
    house.executor.start()
    house.executor.device()
    assert house.run().status == "succeeded"
    worker = house.worker
    wait_until(lambda: house.workers == [])
    assert house.executor.problem() is None
    wait_until(lambda: waits != [])
    assert waits == [supervisor_module.ORPHAN_SECONDS / 2], (
        "it waits for work, and does not look for it without end"
    )
    assert house.run().status == "succeeded"
    assert house.worker.pid != worker.pid
    house.executor.stop()


@pytest.mark.slow
def test_a_paused_queue_starts_no_worker_until_it_goes_on(tmp_path: Path) -> None:
    with open_house(tmp_path, worker__idle_seconds=0.2) as house:
        house.executor.device()
        house.store.queue.pause(True)
        job = house.submit()
        wait_until(lambda: house.workers == [])
        time.sleep(0.5)
        assert house.workers == []
        assert house.store.get(job.id).status == "queued"
        house.store.queue.pause(False)
        house.executor.wake()
        assert house.finish(job).status == "succeeded"


@pytest.mark.slow
def test_no_job_is_forgotten_when_the_worker_is_about_to_end(tmp_path: Path) -> None:
    """Jobs arrive just before, at, and after its end."""
    with open_house(tmp_path, worker__idle_seconds=0.01) as house:
        for pause in (0, 0.01, 0.05, 0.1, 0.15, 0.2):
            assert house.run().status == "succeeded"
            time.sleep(pause)


def test_an_executor_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.executor.stop()
    assert house.executor.problem() is not None


def test_a_stop_is_not_missed_by_a_supervisor_that_goes_to_sleep(tmp_path: Path) -> None:
    """It comes after the look at the queue's flag and before the flag is cleared."""
    house = House(tmp_path)

    class Late(threading.Event):
        def clear(self) -> None:
            house.executor.stopping.set()
            self.set()
            super().clear()

    house.supervisor.device = DeviceInfo("cpu", "CPU", 2**34)
    house.supervisor._wanted = Late()
    house.executor.start()
    house.supervisor._thread.join(SLACK)
    assert not house.supervisor._thread.is_alive()


# --- the supervisor lives on


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (sqlite3.OperationalError("no such table: jobs"), "worker.no_supervision"),
        (OSError(errno.EMFILE, "Too many open files"), "worker.no_supervision"),
        (ZeroDivisionError("a defect"), "worker.no_supervision"),
        (I2VError("database.replaced", path="jobs.db"), "database.replaced"),
    ],
)
def test_whatever_goes_wrong_is_reported_once_and_the_next_try_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    code: str,
) -> None:
    for name in ("FIRST_BACK_OFF", "LAST_BACK_OFF", "RETRY_SECONDS"):
        monkeypatch.setattr(supervisor_module, name, 0.01)
    house = House(tmp_path)
    tries: list[None] = []

    def fail() -> tuple[bool, bool]:
        tries.append(None)
        raise error

    def start() -> tuple[bool, bool]:
        house.supervisor._on_message(Ready(DeviceInfo("cpu", "CPU", 2**34)))
        return True, True

    monkeypatch.setattr(house.supervisor, "_run_worker", fail)
    with caplog.at_level(logging.ERROR, "i2v.workers.executors.supervisor"):
        house.executor.start()
        wait_until(lambda: len(tries) >= 5)
    problem = house.executor.problem()
    assert problem is not None
    assert (problem.code, house.executor.is_alive()) == (code, True)
    assert len(caplog.records) == 1
    with pytest.raises(I2VError) as caught:
        house.executor.device()
    assert caught.value.code == code
    monkeypatch.setattr(house.supervisor, "_run_worker", start)
    wait_until(lambda: house.executor.problem() is None)
    house.executor.stop()


@pytest.mark.slow
@pytest.mark.parametrize("idle_seconds", [0.1, 60])
def test_trouble_is_over_when_the_database_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle_seconds: float
) -> None:
    """Nothing is queued; with a worker and without one."""
    monkeypatch.setattr(supervisor_module, "ORPHAN_SECONDS", 0.4)
    away = tmp_path / "away"
    with open_house(tmp_path, worker__idle_seconds=idle_seconds) as house:
        wait_until(lambda: bool(house.workers) == (idle_seconds > 1))
        house.settings.database.rename(away)
        wait_until(lambda: house.executor.problem() is not None)
        away.rename(house.settings.database)
        wait_until(lambda: house.executor.problem() is None)
        assert house.run().status == "succeeded"


def test_a_supervisor_that_is_dead_is_said(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.executor.start()
    house.executor.device()
    house.executor.stop()
    problem = house.executor.problem()
    assert problem is not None
    assert (problem.code, house.executor.is_alive()) == ("server.halted", False)
    with pytest.raises(I2VError) as caught:
        house.executor.device()
    assert caught.value.code == "server.halted"


def test_a_job_is_settled_though_nothing_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker's death is noticed while no descriptor is free to look for what the worker has started."""

    def refuse(leader: int) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with open_house(tmp_path) as house:
        job = house.submit("step 2: hang once")
        house.wait_until_done_once()
        monkeypatch.setattr("i2v.workers.executors.watch.end_session", refuse)
        house.worker.kill()
        assert house.wait(job, lambda found: found.status == "queued" or found.attempt == 2).deaths == 1
        monkeypatch.undo()
        assert house.finish(job).status == "succeeded"


@pytest.mark.slow
def test_no_worker_is_left_without_its_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Watch._read

    def fail(watch: Watch) -> None:
        if watch._process.pid == worker.pid:  # and not that of another test's house
            raise RuntimeError("a defect")
        read(watch)

    with open_house(tmp_path) as house:
        worker = house.worker
        job = house.submit("step 2: hang once")
        house.wait_until_done_once()
        monkeypatch.setattr("i2v.workers.executors.watch.Watch._read", fail)
        assert house.finish(job).deaths == 1
        assert is_gone(worker)


# --- jobs that nobody works on


def claim_as_ghost(house: House, owner: str) -> Job:
    """Return a job that runs under the owner, who does not know of it."""
    ghost = JobStore(house.settings.database)
    job = submit(ghost, house.settings)
    claim = ghost.claim(owner)
    assert claim is not None
    assert claim.job.id == job.id
    ghost.close()
    return job


@pytest.mark.slow
def test_a_job_that_nobody_works_on_is_found_while_nothing_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "ORPHAN_SECONDS", 0.6)
    with open_house(tmp_path, worker__idle_seconds=0.1) as house:
        wait_until(lambda: house.workers == [])
        job = house.finish(claim_as_ghost(house, "gone"))
        assert (job.status, endings(job)) == ("succeeded", ["died", "succeeded"])


@pytest.mark.parametrize("owner", ["gone", pytest.param("the worker itself", marks=pytest.mark.slow)])
def test_a_job_that_nobody_works_on_is_found_beside_a_busy_worker_which_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """A worker may own a job and not know it: the claim was committed, and then its answer was lost."""
    monkeypatch.setattr(supervisor_module, "ORPHAN_SECONDS", 0.6)
    with open_house(tmp_path) as house:
        own = house.submit(f"step 1: wait {tmp_path}/go")
        worker = house.wait(own, lambda found: found.status == "running").owner
        assert worker is not None
        ghost = claim_as_ghost(house, "gone" if owner == "gone" else worker)
        found = house.wait(ghost, lambda found: found.status != "running")
        assert (found.status, found.deaths) == ("queued", 1)
        (tmp_path / "go").touch()
        assert (house.finish(own).attempt, house.finish(ghost).attempt) == (1, 2)


@pytest.mark.slow
def test_the_job_of_a_worker_that_is_stopped_for_a_while_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it hangs is the watch's business."""
    monkeypatch.setattr(supervisor_module, "ORPHAN_SECONDS", 0.3)
    with open_house(tmp_path) as house:
        job = house.submit(f"step 1: wait {tmp_path}/go")
        house.wait(job, lambda found: found.phase == "denoising")
        house.worker.suspend()
        over = time.monotonic() + 0.3
        wait_until(lambda: house.supervisor._swept > over)  # orphans were looked for
        (tmp_path / "go").touch()
        assert house.get(job).status == "running"
        house.worker.resume()
        job = house.finish(job)
        assert (job.status, job.attempt) == ("succeeded", 1)


def test_a_worker_writes_to_no_file_that_is_gone(tmp_path: Path) -> None:
    """It goes on, and what came of its job is kept when the database is back."""
    with open_house(tmp_path) as house:
        job = house.submit(f"step 1: wait {tmp_path}/go")
        house.wait(job, lambda found: found.phase == "denoising")
        away = tmp_path / "away"
        house.settings.database.rename(away)
        (tmp_path / "go").touch()
        wait_until(lambda: "the database is asked again" in house.log)
        assert not house.settings.database.exists(), "nobody made another one"
        away.rename(house.settings.database)
        job = house.finish(job)
        assert (job.status, job.attempt) == ("succeeded", 1)
