"""The lock on a service's data folder, and what its holder says of itself in the locked file.

One service for one folder: a second one would take the jobs that the first one runs for interrupted. The lock
is the system's, so that it ends with its process, whatever ends that; what stands in the file counts only
while the lock is held. Knows nothing of HTTP.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import psutil

from i2v.errors import I2VError
from i2v.schema import shown

NAME = "service.lock"
PATIENCE = 1.0  # seconds: who only looks at the lock (`find_holder`) holds it for a moment


@dataclass(frozen=True)
class Holder:
    """A service that runs. Before it has said who it is, its id is 0, and nothing else is known."""

    pid: int = 0
    urls: tuple[str, ...] = ()
    log: str | None = None

    def process(self, data_dir: Path) -> psutil.Process | None:
        """Return its process; `None` where that cannot be seen: of another user, or in another container."""
        try:
            process = psutil.Process(self.pid)
            file = (data_dir / NAME).resolve()
            is_it = any(Path(opened.path) == file for opened in process.open_files())
        except psutil.Error:
            return None
        return process if is_it else None


@contextmanager
def hold(data_dir: Path, urls: Sequence[str], log: Path | None) -> Iterator[None]:
    """Hold the folder as this process, which answers at `urls`; raise `I2VError` if another one does."""
    with (data_dir / NAME).open("a", encoding="utf-8") as file:
        if not _lock(file, PATIENCE):
            raise I2VError("server.data_in_use", path=shown(str(data_dir), limit=300))
        holder = Holder(os.getpid(), tuple(urls), None if log is None else str(log))
        file.truncate(0)
        file.write(json.dumps(asdict(holder)))
        file.flush()
        yield


def find_holder(data_dir: Path) -> Holder | None:
    """Return the service that holds the folder, if one does."""
    try:
        with (data_dir / NAME).open(encoding="utf-8") as file:
            if _lock(file):
                return None
            told = json.load(file)
            return Holder(told["pid"], tuple(told["urls"]), told["log"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):  # it is writing it just now
        return Holder()


def _lock(file: TextIO, patience: float = 0.0) -> bool:
    """Return whether the file could be locked, trying again for `patience` seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        else:
            return True
