"""Embeddings of prompts, kept on disk so that a large text encoder need not run, nor be loaded, again.

Owns the files: one an embedding, private, whole or not there, checked when it is read, and no more of them
than is allowed. A file's name begins with the hash of its text, so that all that is known of a text can be
deleted without knowing any model. What an embedding is, and what it depends on, is the engines' business.

Nothing here ends a clip: a cache that cannot be used is said in the log, and the text is encoded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from i2v.core.settings import Settings

SUFFIX, PART = ".embedding", ".part"
MEGABYTE = 10**6
DAY = 86400
ABANDONED_SECONDS = 3600  # what is being written is not older

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingCache:
    """The embeddings below `folder`; several processes share it.

    Attributes:
        megabytes: of all files at the most, those first deleted that were not used for longest; 0: none are
            kept.
        days: how long one is kept after it was used last; 0: without limit.
    """

    folder: Path
    megabytes: float
    days: float = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        service = settings.service
        return cls(settings.embeddings, service.embeddings_megabytes, service.embeddings_days)

    def read(self, text: str, facts: Mapping[str, object]) -> bytes | None:
        """Return what was written of `text` under the same `facts`; `None` where there is nothing whole."""
        if not self.megabytes:
            return None
        path = self._path(text, facts)
        try:
            content = path.read_bytes()
            digest, payload = content[:32], content[32:]
            if hashlib.sha256(payload).digest() != digest:
                log.warning("%s is damaged, and was deleted: the prompt is encoded again", path)
                path.unlink()
                return None
            if self.days and path.stat().st_mtime < time.time() - self.days * DAY:
                return None  # the next `trim` deletes it
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(error)
            return None
        return payload

    def write(self, text: str, facts: Mapping[str, object], payload: bytes) -> None:
        """Keep `payload`, and delete what is too old or too much by now."""
        if not self.megabytes:
            return
        path = self._path(text, facts)
        part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_ISLNK(self.folder.lstat().st_mode):
                raise NotADirectoryError(0, "it is a link", str(self.folder))
            with suppress(FileNotFoundError):
                part.unlink()
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
                file.flush()
                os.fsync(descriptor)
            part.replace(path)
        except OSError as error:
            _warn(error)
            with suppress(OSError):
                part.unlink()
            return
        self.trim()

    def forget(self, texts: Iterable[str]) -> None:
        """Delete all that is kept of `texts`, of whichever model. Raises `OSError`."""
        names = {_digest_of(text.encode()) for text in texts}
        for path, _, _ in self._files():
            if path.name.partition("-")[0] in names:
                path.unlink(missing_ok=True)

    def trim(self) -> None:
        """Delete what is too old, then what was not used for longest until the rest is small enough."""
        now, total = time.time(), 0
        try:
            self._remove_parts(now)
            for path, size, used in sorted(self._files(), key=lambda file: file[2], reverse=True):
                total += size
                is_old = bool(self.days) and used < now - self.days * DAY
                if is_old or total > self.megabytes * MEGABYTE:
                    path.unlink(missing_ok=True)
        except OSError as error:
            _warn(error)

    def _path(self, text: str, facts: Mapping[str, object]) -> Path:
        of_facts = _digest_of(json.dumps(facts, sort_keys=True).encode())
        return self.folder / f"{_digest_of(text.encode())}-{of_facts}{SUFFIX}"

    def _files(self) -> list[tuple[Path, int, float]]:
        """Return each file with its bytes and when it was used last."""
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                state = path.stat()
                found.append((path, state.st_size, state.st_mtime))
        return found

    def _remove_parts(self, now: float) -> None:
        for path in self.folder.glob(f".*{PART}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < now - ABANDONED_SECONDS:
                    path.unlink()


@dataclass(frozen=True)
class KeptEmbeddings:
    """What one clip may read and write of the cache.

    text_sha256: of the files that decide over an embedding, those of text encoder and tokenizer.
    """

    cache: EmbeddingCache
    text_sha256: str


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _warn(error: OSError) -> None:
    log.warning("embeddings of prompts are not kept: %s: %s", error.filename, error.strerror or error)
