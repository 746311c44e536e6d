"""Addresses that work once, for a while, and for whoever has them: to send a picture here, to fetch a video.

For programs that speak to us through others: a tool of an agent has no token of its own, and a file is better
sent by itself than as text in a conversation. Each address is a secret of 256 bits. What is offered is in the
memory of this process: a restart ends all of them. Does not know HTTP.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from i2v.core.errors import InvalidRequest, not_stored

PREFIX = "/once/"  # the addresses' beginning
ADDRESS = re.compile(PREFIX + "[A-Za-z0-9_-]{1,100}")  # what needs no token
SECONDS = 900.0  # that an address works, and that a picture that came by one is kept
MOST = 32  # of each kind; a newer one ends the oldest


@dataclass
class Upload:
    """A picture that is to come, or has: `file` is one without a name."""

    expires_at: float
    file: BinaryIO | None = None

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


@dataclass(frozen=True)
class Download:
    """A job's video to be fetched."""

    expires_at: float
    job_id: str

    def close(self) -> None:
        """There is nothing to give back."""


class OneTime:
    """What was offered, and not used or expired yet.

    Args:
        folder: where pictures wait.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, Download] = {}
        weakref.finalize(self, _close_all, self._uploads)

    def offer_upload(self) -> tuple[str, float]:
        """Return a secret to send a picture with, and until when it works."""
        return self._offer(self._uploads, Upload(self._clock() + SECONDS))

    def offer_download(self, job_id: str) -> tuple[str, float]:
        """Return a secret to fetch a job's video with, and until when it works."""
        return self._offer(self._downloads, Download(self._clock() + SECONDS, job_id))

    def check_upload(self, secret: str) -> None:
        """Raise `InvalidRequest` (`once.unknown`) unless a picture may be sent with the secret now."""
        with self._lock:
            self._sweep()
            found = self._uploads.get(secret)
            if found is None or found.file is not None:
                raise InvalidRequest("once.unknown")

    def keep_upload(self, secret: str, picture: bytes) -> None:
        """Keep a picture that has come.

        Raises:
            InvalidRequest: `once.unknown`: too late, or another one was faster.
            EncodeError: `image.no_space`, `image.not_stored`.
        """
        try:
            file = cast("BinaryIO", TemporaryFile(dir=self._folder))  # noqa: SIM115
            file.write(picture)
            file.flush()  # a full disk is found here, and not when it is read
        except OSError as error:
            raise not_stored(self._folder, error) from error
        with self._lock:
            self._sweep()
            found = self._uploads.get(secret)
            if found is None or found.file is not None:
                file.close()
                raise InvalidRequest("once.unknown")
            found.file = file

    def upload(self, secret: str) -> bytes:
        """Return the picture that came with the secret; raise `InvalidRequest` (`once.no_upload`)."""
        with self._lock:
            self._sweep()
            found = self._uploads.get(secret)
            if found is None or found.file is None:
                raise InvalidRequest("once.no_upload")
            found.file.seek(0)
            return found.file.read()

    def drop_upload(self, secret: str) -> None:
        """Forget a picture that was used."""
        with self._lock:
            if found := self._uploads.pop(secret, None):
                found.close()

    def take_download(self, secret: str) -> Download:
        """Return what may be fetched with the secret, and let nobody else; raise `once.unknown`."""
        with self._lock:
            self._sweep()
            if (found := self._downloads.pop(secret, None)) is None:
                raise InvalidRequest("once.unknown")
            return found

    def give_back(self, secret: str, download: Download) -> None:
        """It was not fetched to its end: let it be tried again."""
        with self._lock:
            self._downloads[secret] = download

    def _offer(
        self, kind: dict[str, Upload] | dict[str, Download], new: Upload | Download
    ) -> tuple[str, float]:
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._sweep()
            while len(kind) >= MOST:
                kind.pop(next(iter(kind))).close()
            kind[secret] = new  # type: ignore[assignment]
        return secret, new.expires_at

    def _sweep(self) -> None:
        """Forget what has expired."""
        now = self._clock()
        for kind in (self._uploads, self._downloads):
            for secret in [each for each, found in kind.items() if found.expires_at <= now]:
                kind.pop(secret).close()


def _close_all(uploads: dict[str, Upload]) -> None:
    for upload in uploads.values():
        upload.close()
