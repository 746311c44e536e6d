"""The finished segments of stories, on the disk: what a kill does not take away.

Owns one folder for each story, `NAME.story`, in which `0003.segment` has the frames of a segment as they were
generated (uint8, RGB), and then the key of the story. It gets that name in one step, when it is whole and on
the disk. Whoever makes the story holds a lock on the folder. Deliberately does not know what frames show.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from i2v.core.errors import EncodeError
from i2v.core.fields import shown

SUFFIX = ".story"

log = logging.getLogger(__name__)


class Checkpoints:
    """The segments of one story. Writing never fails: what there is no room for is made again after a kill.

    Use it in a `with` statement: others see by its lock that the story is being made.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / f"{name}{SUFFIX}"
        self._lock: int | None = None
        self._key = b""

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open(self, key: str) -> None:
        """Begin, or go on with, the story that `key` names: segments of another one count for nothing."""
        self._key = hashlib.sha256(key.encode()).digest()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("no segments can be kept in %s: %s", self._folder, error.strerror or error)

    def find(self, number: int, shape: tuple[int, int, int, int]) -> Iterator[NDArray[np.uint8]] | None:
        """Return the segment's frames, of `shape` (n, height, width, 3), one by one; `None` if not here.

        Raises `EncodeError` (`unpublished.lost`) where they cannot be read after all: they are gone then.
        """
        path = self._path(number)
        try:
            with path.open("rb") as file:
                size = file.seek(-len(self._key), os.SEEK_END)
                is_ours = file.read() == self._key and size == int(np.prod(shape))
        except OSError:  # as a rule: it was not made yet
            return None
        return _read(path, shape) if is_ours else None

    @contextmanager
    def writing(self, number: int) -> Iterator[SegmentFile]:
        """Take the frames of a segment; they are kept if the block ends without an exception."""
        part = self._folder / f".{number:04}.part"
        file = SegmentFile(part)
        try:
            yield file
            file.end(self._path(number), self._key)
        finally:
            file.discard()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04}.segment"


class SegmentFile:
    """The frames of a segment as they come."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._file: IO[bytes] | None = None
        with self._giving_up():
            self._file = part.open("wb")

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Copy `frames`, uint8 of shape (n, height, width, 3)."""
        if self._file is not None:
            with self._giving_up():
                self._file.write(np.ascontiguousarray(frames).reshape(-1).data)

    def end(self, path: Path, key: bytes) -> None:
        """Give it its name."""
        if self._file is not None:
            with self._giving_up():
                self._file.write(key)
                self._file.flush()
                os.fsync(self._file)
                self._part.replace(path)

    def discard(self) -> None:
        """Remove what has no name yet."""
        if self._file is not None:
            with suppress(OSError):  # of a disk that is full, told before
                self._file.close()
            self._file = None
            with suppress(OSError):  # it has its name, or the folder is gone
                self._part.unlink()

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.warning("a segment is not kept in %s: %s", self._part, error.strerror or error)
            self.discard()


def _read(path: Path, shape: tuple[int, int, int, int]) -> Iterator[NDArray[np.uint8]]:
    count, *frame = shape
    try:
        with path.open("rb") as file:
            for _ in range(count):
                yield np.fromfile(file, np.uint8, int(np.prod(frame))).reshape(1, *frame)
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)  # a retry makes it again
        reason = shown(error.strerror if isinstance(error, OSError) and error.strerror else str(error))
        raise EncodeError("unpublished.lost", path=shown(str(path), limit=300), reason=reason) from error


def count_segments(folder: Path, name: str) -> int:
    """Return how many segments of a story there are."""
    return len(list((folder / f"{name}{SUFFIX}").glob("*.segment")))


def checkpoint_bytes(folder: Path) -> int:
    """Return how much the files in the folder of a story take."""
    sizes = 0
    for path in folder.glob("*"):
        with suppress(OSError):  # it goes at this moment
            sizes += path.stat().st_size
    return sizes


def is_being_made(folder: Path) -> bool:
    """Tell whether somebody has locked the folder of a story."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # it is gone
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_checkpoints(folder: Path) -> None:
    """Remove the folder of a story, if there is one."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s could not be removed: %s", folder, error.strerror or error)
