"""The lock on a service's data folder, and what its holder says of itself in a file there.

One service for one folder: a second one would take the jobs that the first one runs for interrupted. The lock
is the system's, so that it ends with its process, whatever ends that; what stands in the file counts only
while the lock is held. The folder itself is locked, so that the lock holds whatever becomes of the file; the
file is locked too, for those who know no other lock (earlier versions). Knows nothing of HTTP.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.host.data_folder import unusable

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
        return process if is_it or self.pid == _find_locker(data_dir) else None


@contextmanager
def hold(data_dir: Path, urls: Sequence[str], log: Path | None) -> Iterator[None]:
    """Hold the folder as this process, which answers at `urls`; raise `I2VError` if another one does."""
    taken = I2VError("server.data_in_use", path=shown(str(data_dir), limit=300))
    with ExitStack() as stack:
        if not _lock(stack.enter_context(_opened(data_dir)), PATIENCE):
            raise taken
        file = stack.enter_context(open(data_dir / NAME, "a", encoding="utf-8", opener=_private))
        if not _lock(file.fileno(), PATIENCE):
            raise taken
        holder = Holder(os.getpid(), tuple(urls), None if log is None else str(log))
        file.truncate(0)
        file.write(json.dumps(asdict(holder)))
        file.flush()
        yield


def find_holder(data_dir: Path) -> Holder | None:
    """Return the service that holds the folder, if one does."""
    try:
        with _opened(data_dir) as folder:
            is_held = not _lock(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        with (data_dir / NAME).open(encoding="utf-8") as file:
            if _lock(file.fileno()) and not is_held:
                return None
            stored = json.load(file)
            holder = Holder(stored["pid"], tuple(stored["urls"]), stored["log"])
            locker = _find_locker(data_dir)
            return holder if locker in (0, holder.pid) else Holder(locker)  # somebody else's words
    except FileNotFoundError:  # or somebody has removed it
        return Holder(_find_locker(data_dir)) if is_held else None
    except (ValueError, KeyError):  # it is writing it just now
        return Holder()


@contextmanager
def _opened(data_dir: Path) -> Iterator[int]:
    """Lend a descriptor of the folder; raise `I2VError` where it is another user's."""
    try:
        descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError as error:
        raise unusable(data_dir, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _find_locker(data_dir: Path) -> int:
    """Return the id of the process that has locked the folder, by what Linux says; 0 if it does not say."""
    try:
        inode = data_dir.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()  # 1: FLOCK ADVISORY WRITE 77 fd:01:1234 0 EOF
    except OSError:
        return 0
    locks = [line.split() for line in lines]
    found = [int(words[4]) for words in locks if words[1] == "FLOCK" and words[5].endswith(f":{inode}")]
    return found[0] if len(found) == 1 else 0


def _lock(descriptor: int, patience: float = 0.0) -> bool:
    """Return whether the file or folder could be locked, trying again for `patience` seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        else:
            return True
