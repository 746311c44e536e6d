"""A store and an executor with a real worker process, as tests of `i2v.workers.executors` need them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.workers.executors import watch as watch_module
from i2v.workers.executors.entry import Message
from i2v.workers.executors.process import ProcessExecutor
from i2v.workers.executors.supervisor import Supervisor
from i2v.workers.executors.watch import Watch
from i2v.workers.worker import Beat
from tests.clips import names
from tests.rehearsal import ENGINES, find_workers, stage, submit

SLACK = 60.0  # seconds that a busy machine may add to what is promised; what must not be waited for is 600


class House:
    """A store, an executor and its settings, and what a test wants to know of them."""

    def __init__(self, folder: Path, **flags: object) -> None:
        self.folder = folder
        self.settings = stage(folder, **flags)
        self.store = JobStore(self.settings.database)
        self.executor = ProcessExecutor(self.settings, self.store, ENGINES, folder / "logs")
        self._others = {worker.pid for worker in find_workers(os.getpid())}

    @property
    def supervisor(self) -> Supervisor:
        (supervisor,) = self.executor._supervisors
        return supervisor

    def submit(self, prompt: str = "", **fields: object) -> Job:
        job = submit(self.store, self.settings, prompt, **fields)
        self.executor.wake()
        return job

    def get(self, job: Job) -> Job:
        return self.store.get(job.id)

    def wait(self, job: Job, until: Callable[[Job], bool], seconds: float = 60) -> Job:
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
        return [worker for worker in find_workers(os.getpid()) if worker.pid not in self._others]

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


class Clock:
    """The clock of a watch, which can be put forward, and what the watch does by it. For one house at a time.

    Attributes:
        beats: how often a worker has said that it is running a job.
        looks: how often it was looked whether a worker should be ended.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        self.beats = self.looks = 0
        self.per_message = 0.0  # seconds that go by after each message
        note, act = Watch._read_message, Watch._act

        def counted(watch: Watch, message: Message) -> None:
            note(watch, message)
            self.beats += isinstance(message, Beat) and message.job_id is not None
            self._ahead += self.per_message

        def counted_act(watch: Watch, now: float) -> None:
            act(watch, now)
            self.looks += 1

        monkeypatch.setattr(Watch, "_read_message", counted)
        monkeypatch.setattr(Watch, "_act", counted_act)
        monkeypatch.setattr(watch_module, "time", SimpleNamespace(monotonic=self.now, sleep=time.sleep))

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time go by, once all words that were said are noted, and wait until the watch has looked."""
        self.wait_for_looks()
        self._ahead += seconds
        self.wait_for_looks()

    def wait_for_looks(self) -> None:
        """Wait for a look that began after this call."""
        before = self.looks
        wait_until(lambda: self.looks >= before + 2)


def wait_until(done: Callable[[], bool], seconds: float = 60) -> float:
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
        house.executor.device()
        yield house
    finally:
        house.executor.stop()
        house.store.close()
        assert house.workers == []


def endings(job: Job) -> list[str]:
    return [attempt.ending for attempt in job.history]


def start_slowly(*_: object) -> None:
    """Be a worker process that loads libraries for ever, deaf to signals meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
