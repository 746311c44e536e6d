"""Services whose data is backed up, restored, exported and imported; processes that are killed meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.rehearsal import ENGINES, picture, stage
from tests.service.waiting import FIELDS

Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@contextmanager
def working(settings: Settings) -> Iterator[Service]:
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    yield service
    service.stop()


def full_house(folder: Path) -> Settings:
    """A house with a clip, one in the trash, one that failed, and one whose video is gone."""
    settings = stage(folder)
    with working(settings) as service:
        asked = (("nothing", "teal"), ("nothing", "red"), ("step 1: fail", "red"), ("nothing", "blue"))
        done, trashed, failed, gone = (
            service.submit(FIELDS | {"prompt": prompt}, picture(colour)).id for prompt, colour in asked
        )
        assert service.get(failed).status == "failed"
        service.library.trash(trashed)
        Path(service.get(gone).output).unlink()
        service.library.star(done, True)
    (settings.service.data_dir / "token").write_text("a-token-of-more-than-sixteen-letters\n")
    return settings


def states(settings: Settings) -> list[tuple[str, str, bool, bool]]:
    with closing(sqlite3.connect(settings.database)) as db:
        rows = db.execute("SELECT id, status, starred, deleted_at IS NULL FROM jobs ORDER BY seq").fetchall()
    return [tuple(row) for row in rows]


def in_child(call: Callable[[], object]) -> int:
    """Run the call in a process of its own; return how that ended."""
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def kill_at(part: float) -> Progress:
    """Return a progress that ends its process there, as kill -9 does."""

    def progress(done: int, total: int) -> None:
        if done >= part * total:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress
