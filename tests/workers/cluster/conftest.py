"""An actor in this process, in the place of one that Ray has started elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.model import Job
from i2v.workers.cluster import wire
from i2v.workers.cluster.actor import Actor
from i2v.workers.cluster.node import Leaving
from i2v.workers.cluster.remote import RemoteMaker
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import Answer, Errand, Introduction, Message, Shared
from i2v.workers.devices import Fetch
from i2v.workers.maker import Order, WorkerLost
from i2v.workers.worker import Worker
from tests.rehearsal import ENGINES, stage, submit
from tests.watched_store import WatchedStore


@pytest.fixture(autouse=True)
def _ray_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself is asked for nothing here but its version, and is an extra."""
    monkeypatch.setattr(wire, "version", lambda name: "2.60.0" if name == "ray" else version(name))


class DirectHandle:
    """See `handles.Handle`. `cut`: the stream ends after so many messages, as one whose node was removed."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.cut: int | None = None
        self.damaged = False
        self.orders: list[Order] = []
        self.errands: list[Errand] = []
        self.given = 0  # bytes of weights
        self.lost_at = math.inf
        self.says: Leaving = ""

    def look(self, seconds: float) -> Introduction:
        return self.actor.look()

    def models(self) -> tuple[str, ...]:
        return self.actor.models()

    def make(self, order: Order, inputs: list[bytes]) -> DirectCall:
        self.orders.append(order)
        return DirectCall(self.actor.make(order, inputs), self.cut)

    def fetch(self, errand: Errand) -> DirectCall:
        self.errands.append(errand)
        return DirectCall(self.actor.fetch(errand), self.cut)

    def give(self, answer: Answer) -> None:
        if self.given >= self.lost_at:
            self.actor.stop(self.errands[-1].ticket)  # as a process ends: its lock and its thread with it
            raise WorkerLost("rehearsed")
        self.given += len(answer) if isinstance(answer, bytes) else 0
        self.actor.give(bytes(len(answer)) if self.damaged and isinstance(answer, bytes) else answer)

    def stop(self, job_id: str) -> None:
        self.actor.stop(job_id)

    def read(self, kind: str, offset: int, size: int) -> bytes:
        piece = self.actor.read("video" if kind == "video" else "frames", offset, min(size, 1000))
        return bytes(len(piece)) if self.damaged else piece

    def forget(self) -> None:
        self.actor.forget()

    def leaving(self) -> Leaving:
        return self.says

    def end(self) -> None:
        self.actor.end()


class DirectCall:
    def __init__(self, stream: Iterator[Message], cut: int | None) -> None:
        self._stream = stream
        self._left = cut

    def next(self, seconds: float) -> Message | None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise StopIteration
        return next(self._stream)


class Lab:
    """A store, and a worker whose clips an actor makes; see `handles.Host` too."""

    name = "studio"

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = stage(folder)
        self.store = WatchedStore(self.settings.database)
        actor = Actor("studio", "cpu", 1, Shared.of(self.settings), ENGINES, None)
        self.handle = DirectHandle(actor)
        self.is_stopping = False
        self.has_others = False
        self.fetches: list[Fetch | None] = []
        self.device: DeviceInfo = actor.look().device
        shelf = Shelf(self.settings.models, ENGINES)
        self.maker = RemoteMaker(self.handle, self.settings.worker, self, shelf)

    def show(self, fetch: Fetch | None) -> None:
        self.fetches.append(fetch)

    def note_models(self, models: tuple[str, ...]) -> None:
        self.noted = models

    def give_away(self, error: I2VError) -> bool:
        return self.has_others

    def worker(self, owner: str = "owner") -> Worker:
        send, device = (lambda beat: None), self.device
        return Worker(self.settings, self.store, ENGINES, device, owner, send, self.maker)

    def submit(self, prompt: str = "") -> Job:
        return submit(self.store, self.settings, prompt)

    def run(self, prompt: str = "") -> Job:
        job = self.submit(prompt)
        assert self.worker().run_next()
        return self.store.get(job.id)

    def lose(self, prompt: str = "") -> Job:
        """Run a job until its worker is lost."""
        job = self.submit(prompt)
        with pytest.raises(WorkerLost):
            self.worker().run_next()
        return self.store.get(job.id)

    @property
    def left_there(self) -> list[str]:
        """What the actor's folder has, once it has given its last word."""
        return sorted(path.name for path in self.handle.actor._folder.iterdir())

    @property
    def videos(self) -> list[str]:
        folder = self.settings.output.directory
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = Lab(tmp_path)
    with closing(opened.store):
        yield opened
    opened.handle.end()
