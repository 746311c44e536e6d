"""Where a video goes: its name, whether it can be written there, and how it appears in one step.

Owns the names of output files and of their hidden part files. Deliberately does not know what is in them.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import logging
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.core.file_names import DEFAULT, NO_FACTS, NameFacts, stem_of
from i2v.core.settings import OutputSettings

MIN_FREE_BYTES = 64 * 2**20
MAX_NAME_BYTES = 255  # of every usual filesystem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputName:
    """An automatic name, `video_20250405_142310.mp4`; `_2`, `_3` and so on follow where it is taken.

    Attributes:
        when: the local time at which the request was submitted.
        pattern: see `file_names.stem_of`.
    """

    folder: Path
    when: datetime
    prefix: str = "video_"
    pattern: str = DEFAULT
    facts: NameFacts = NO_FACTS

    @classmethod
    def of(cls, output: OutputSettings, when: datetime, facts: NameFacts = NO_FACTS) -> Self:
        """Return the name as the settings have it."""
        return cls(output.directory, when, output.prefix, output.name, facts)

    def candidates(self) -> Iterator[Path]:
        stem = stem_of(self.prefix, self.pattern, self.facts, self.when)
        yield self.folder / f"{stem}.mp4"
        for number in itertools.count(2):
            yield self.folder / f"{stem}_{number}.mp4"


@dataclass(frozen=True)
class OutputFile:
    """A name that somebody chose. `force` replaces a file that has it already."""

    path: Path
    force: bool = False

    @property
    def folder(self) -> Path:
        return self.path.parent

    def candidates(self) -> Iterator[Path]:
        yield self.path


OutputTarget = OutputName | OutputFile


def prepare_output(target: OutputTarget) -> None:
    """Find out, before minutes of denoising, whether the video can be written. Makes the folder if needed.

    Raises `InvalidRequest` (`output.*`) for a target to change, `EncodeError` for a full disk.
    """
    _check_name(target)
    folder = target.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(target, OutputFile) and target.path.is_dir():
            raise InvalidRequest("output.not_a_file", path=str(target.path))
        if isinstance(target, OutputFile) and not target.force and os.path.lexists(target.path):
            raise InvalidRequest("output.exists", path=str(target.path))
        # Trying is the only answer that also holds for root, read-only mounts and network shares.
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidRequest("output.not_a_folder", path=str(folder)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidRequest("output.not_writable", path=str(folder), reason=reason) from error
    if free < MIN_FREE_BYTES:
        mib = {"free_mib": free >> 20, "needed_mib": MIN_FREE_BYTES >> 20}
        raise EncodeError("output.no_space", path=str(folder), **mib)


def _check_name(target: OutputTarget) -> None:
    path = next(target.candidates())
    shown = str(path).encode(errors="backslashreplace").decode()
    if "\0" in shown or shown != str(path):  # the second: lone surrogates, from bytes that are no UTF-8
        raise InvalidRequest("output.bad_name", path=ascii(str(path)), reason="it is not plain text")
    if path.suffix.lower() != ".mp4":
        raise InvalidRequest("output.bad_extension", path=shown)
    if path.parent != target.folder:
        raise InvalidRequest("output.bad_name", path=shown, reason="a prefix cannot hold a folder")
    if len(path.name.encode()) > MAX_NAME_BYTES:
        raise InvalidRequest("output.bad_name", path=shown, reason=f"over {MAX_NAME_BYTES} bytes long")


def part_path(target: OutputTarget) -> Path:
    """Return a new hidden name beside the final one, on the same filesystem."""
    return target.folder / f".{_part_stem(next(target.candidates()))}.{secrets.token_hex(6)}.part.mp4"


def sweep_parts(path: Path) -> None:
    """Remove what writers of the video `path` left that were killed. Nobody may be writing it now.

    What cannot be removed is logged: whether a video can be written there is `prepare_output`'s question.
    """
    try:
        for part in path.parent.glob(f".{glob.escape(_part_stem(path))}.*.part.mp4"):
            part.unlink(missing_ok=True)
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:  # reserved, as `_move_to_free_name` does
            path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        log.warning("what was left of %s could not be removed: %s", path, error.strerror or error)


def _part_stem(path: Path) -> str:
    """Return the name's stem, or, where its additions would make it too long, a digest that stands for it."""
    stem = path.stem
    fits = len(stem.encode()) <= MAX_NAME_BYTES - len("..123456789abc.part.mp4")
    return stem if fits else hashlib.sha256(stem.encode()).hexdigest()


def publish(part: Path, target: OutputTarget) -> Path:
    """Give the part file its name, in one step that others see wholly or not at all; return the name.

    Raises `OSError` as the system has it, `InvalidRequest` (`output.exists`) if a chosen name was taken.
    """
    _sync(part)
    for path in target.candidates():
        try:
            if isinstance(target, OutputFile) and target.force:
                part.replace(path)
            else:
                _move_to_free_name(part, path)
        except FileExistsError:
            continue
        with contextlib.suppress(OSError):  # the video is there, also on a share that cannot sync a folder
            _sync(path.parent)
        return path
    raise InvalidRequest("output.exists", path=str(path))


def _move_to_free_name(part: Path, path: Path) -> None:
    """Rename, but raise `FileExistsError` instead of overwriting as `rename` does."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (exFAT, some shares): reserve the name, replace the reservation
        path.touch(exist_ok=False)
        try:
            part.replace(path)
        except OSError:
            path.unlink()
            raise
    else:
        part.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
