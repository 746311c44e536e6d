"""The folder where a browser's uploads arrive, kept from filling the disk.

Uploads are named by forms that only the browser knows, so they go by age, and by size where many come. What
a broken upload leaves is removed at its end (`upload_parser`), and here if that failed. Does not know what is
in the files.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import I2VError

KEPT_SECONDS = 24 * 3600.0  # for whoever comes back to the window
FRESH_SECONDS = 600.0  # nothing that is younger goes, whatever comes
LEFT_SECONDS = 120.0  # an unfinished file that has not grown for so long belongs to nobody
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
        kept: list[_Found] = []
        for found in self._files():
            is_unfinished = found.path.parent == self.folder
            if found.age > (LEFT_SECONDS if is_unfinished else KEPT_SECONDS):
                _remove(found.path)
            else:
                kept.append(found)
        total = sum(found.size for found in kept)
        if total < self._max_bytes:
            return total
        for found in sorted(kept, key=lambda found: -found.age):
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
