"""The folder where a browser's uploads arrive, kept from filling the disk.

Uploads are named by forms that only the browser knows, so they go by age, and by size where many come. What
a broken upload leaves is removed at its end (`upload_parser`), and here if that failed; what arrives is left
alone until it has arrived, however long it takes. Does not know what is in the files.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import I2VError

KEPT_SECONDS = 24 * 3600.0  # for whoever comes back to the window
FRESH_SECONDS = 600.0  # nothing that is younger goes, whatever comes
LEFT_SECONDS = 120.0  # an unfinished file of no upload under way is removed when it is so old
LOOK_SECONDS = 2.0
MAX_AT_ONCE = 64
_UNFINISHED = "tmp*"  # directly in the folder; finished ones lie in folders of their own

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Found:
    path: Path
    age: float
    size: int


class UploadFolder:
    """Tells whether there is room for one more in `folder`, and makes it."""

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._bytes = 0
        self._begun: dict[object, float] = {}  # when each upload did that is under way

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Know of an upload within the block; raise `I2VError` (`page.busy`) if too many are under way."""
        if len(self._begun) >= MAX_AT_ONCE:
            raise I2VError("page.busy")
        upload = object()
        self._begun[upload] = time.time()
        try:
            yield
        finally:
            del self._begun[upload]

    def make_room(self) -> None:
        """Remove what nobody needs any more; raise `I2VError` (`page.uploads_full`) if that is not enough."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_SECONDS:
                self._bytes = self._sweep()
                self._looked = time.monotonic()
            if self._bytes >= self._max_bytes:
                raise I2VError("page.uploads_full", megabytes=round(self._bytes / 1e6))

    def _sweep(self) -> int:
        """Return how many bytes are left."""
        finished: list[_Found] = []
        total = 0
        longest = time.time() - min(self._begun.values(), default=time.time())
        for found in self._files():
            is_finished = found.path.parent != self.folder
            if found.age > (KEPT_SECONDS if is_finished else max(LEFT_SECONDS, longest + 1)):
                _remove(found.path)
                continue
            total += found.size
            if is_finished:
                finished.append(found)
        if total < self._max_bytes:
            return total
        for found in sorted(finished, key=lambda found: -found.age):
            if total <= self._max_bytes / 2 or found.age < FRESH_SECONDS:  # half: not to be here each time
                break
            _remove(found.path)
            total -= found.size
        return total

    def _files(self) -> list[_Found]:
        now, files = time.time(), []
        for path in [*self.folder.glob(_UNFINISHED), *self.folder.glob("*/*")]:
            try:
                status = path.lstat()
            except OSError:  # it has been moved to its place, or removed
                continue
            files.append(_Found(path, now - status.st_mtime, status.st_size))
        return files


def _remove(path: Path) -> None:
    """Remove a file, and its folder if that is empty then."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.name and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        log.warning("An old upload cannot be removed: %s", error)
