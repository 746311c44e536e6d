"""The latents of a clip that is being denoised, on the disk: what a kill does not take away.

Owns one file for each clip, `NAME.latents`: a digest of what they belong to, then what the engine has
written. It gets that name in one step, when it is whole and on the disk. Deliberately does not know what the
bytes say.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

SUFFIX = ".latents"
SPARE_BYTES = 2**26  # that a disk must have left besides: the job database may lie on it

log = logging.getLogger(__name__)


class KeptLatents:
    """The latents of one clip, kept every so many `seconds` at most.

    Neither reading nor writing fails: what cannot be kept is denoised again after a kill.
    """

    def __init__(self, folder: Path, name: str, seconds: float, key: str = "") -> None:
        """`key`: all that the latents follow from. Those of another key count for nothing."""
        self.seconds = seconds
        self.path = folder / f"{name}{SUFFIX}"
        self._digest = hashlib.sha256(key.encode()).digest()
        self._problem = ""

    def of(self, key: str) -> KeptLatents:
        """Return the same place for what follows from `key`."""
        return KeptLatents(self.path.parent, self.path.stem, self.seconds, key)

    def read(self) -> bytes | None:
        """Return what was written last, `None` where that is nothing, or of another key."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.ignore(error.strerror or str(error))
            return None
        if not content.startswith(self._digest):
            self.ignore("they belong to something else")
            return None
        return content[len(self._digest) :]

    def ignore(self, reason: str) -> None:
        """Say that what is there is not used."""
        log.warning("the latents in %s are not used: %s", self.path, reason)

    def remove(self) -> None:
        """Remove what was written, if anything."""
        with suppress(OSError):  # it stays then until its job goes
            self.path.unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        """Have this in the place of what was written before."""
        part = self.path.with_name(f".{self.path.stem}.{secrets.token_hex(6)}.part")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if shutil.disk_usage(self.path.parent).free < len(content) + SPARE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # so that no other worker sweeps it
                for piece in (self._digest, content):
                    left = memoryview(piece)
                    while left:
                        left = left[file.write(left) :]
                os.fsync(file)
                part.replace(self.path)
        except OSError as error:
            with suppress(OSError):  # the disk that fails
                part.unlink(missing_ok=True)
            problem = error.strerror or str(error)
            if problem != self._problem:
                log.warning("latents cannot be kept in %s: %s", self.path.parent, problem)
            self._problem = problem
