"""Frames and sound that were not yet published: copied to the disk as they come, kept if the end fails.

Owns the files in one folder: `NAME.frames` is a clip's frames and sound with all that is needed to publish
them, and `.NAME.*.part` one that is being written, locked by its writer. Room is taken before the first frame
comes, so that a disk that fills up meanwhile takes nothing away. Deliberately does not know how frames are
made, nor how they become a video.

A file is the frames' bytes (uint8, RGB), those of the sound if there is one (float32, little-endian), JSON,
and eight bytes that say how long the JSON is. A file under its final name is whole: it gets that name in one
step, when it is on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from i2v.core.errors import EncodeError, InvalidRequest, Notice, read_notices
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.results import MadeWith, StageUse
from i2v.core.schema import Language
from i2v.core.stored import parse_json, read_as
from i2v.media.checkpoints import SUFFIX, checkpoint_bytes, is_being_made, remove_checkpoints
from i2v.media.latents import SPARE_BYTES
from i2v.media.latents import SUFFIX as LATENTS
from i2v.media.sound import Sound

KEEP_DAYS = 30
MAX_BYTES = 2**33  # of all that is kept; the oldest goes first
ABOUT_BYTES = 2**20  # room for the JSON
SOUND_BYTES = 48_000 * 2 * 4  # room for a second of sound: as many samples, two channels, float32
_LENGTH_BYTES = 8
_SUFFIX = ".frames"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundShape:
    """What the bytes of a sound are: `num_samples` for each of the `channels`, `sample_rate` in hertz."""

    num_samples: int
    channels: int
    sample_rate: int

    @property
    def bytes(self) -> int:
        return self.num_samples * self.channels * 4


@dataclass(frozen=True)
class About:
    """What has to be known of a clip to publish and to describe it: see `Marks` and `Result`.

    sound: is filled in by the recorder.
    """

    generation: Generation
    tags: dict[str, str] = field(default_factory=dict)
    visible: Language | None = None
    notices: tuple[Notice, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    stages: tuple[StageUse, ...] = ()
    made_with: MadeWith | None = None
    sound: SoundShape | None = None


@dataclass(frozen=True)
class Kept:
    """A clip's frames, and its sound if it has one, on the disk."""

    path: Path
    about: About

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield them one by one, each uint8 of shape (1, height, width, 3).

        Raises `EncodeError` (`unpublished.lost`).
        """
        count, *shape = _shape(self.about.generation)
        try:
            with self.path.open("rb") as file:
                for _ in range(count):
                    yield np.fromfile(file, np.uint8, int(np.prod(shape))).reshape(1, *shape)
        except (OSError, ValueError) as error:
            raise self._lost(error) from error

    def sound(self) -> Sound | None:
        """Return the sound, `None` where the clip has none. Raises `EncodeError` (`unpublished.lost`)."""
        shape = self.about.sound
        if shape is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(int(np.prod(_shape(self.about.generation))))
                samples = np.fromfile(file, "<f4", shape.num_samples * shape.channels)
                samples = samples.reshape(shape.num_samples, shape.channels)
        except (OSError, ValueError) as error:
            raise self._lost(error) from error
        return Sound(samples.astype(np.float32, copy=False), shape.sample_rate)

    def _lost(self, error: OSError | ValueError) -> EncodeError:
        """Return the error for a disk that fails, or a file that somebody has cut."""
        name = shown(str(self.path), limit=300)
        return EncodeError("unpublished.lost", path=name, reason=_reason(error))

    def remove(self) -> None:
        _remove(self.path)


class FrameRecorder:
    """Copies the frames of one clip. Use it in a `with` statement: what was not kept is gone at its end.

    Recording never fails: where there is no room, nothing is recorded, and `notice` says so if it was needed.

    Attributes:
        notice: what became of the frames, once `keep` was called and all of them had come.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}{_SUFFIX}"
        self.notice: Notice | None = None
        self._part = folder / f".{name}.{secrets.token_hex(6)}.part"
        self._file: IO[bytes] | None = None
        self._missing = 0  # frames that have not come yet
        self._sound: SoundShape | None = None
        self._problem = ""

    def begin(self, generation: Generation, sound_seconds: float = 0.0) -> Self:
        """Take the room for all frames of `generation`, and for so much sound."""
        shape = _shape(generation)
        self._missing, self._sound = shape[0], None
        needed = int(np.prod(shape)) + ABOUT_BYTES + SOUND_BYTES * math.ceil(sound_seconds)
        try:
            self._part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if shutil.disk_usage(self._part.parent).free < needed + SPARE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _reserve(self._file, needed)
        except OSError as error:
            self._give_up(error)
        return self

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Copy `frames`, uint8 of shape (n, height, width, 3), as they were generated."""
        self._missing -= len(frames)
        try:
            self._write(np.ascontiguousarray(frames).reshape(-1).data)
        except OSError as error:
            self._give_up(error)

    def append_sound(self, sound: Sound) -> None:
        """Copy the sound, once all frames have come."""
        samples = np.ascontiguousarray(sound.samples, "<f4")
        self._sound = SoundShape(len(samples), sound.channels, sound.sample_rate)
        try:
            self._write(samples.reshape(-1).view(np.uint8).data)
        except OSError as error:
            self._give_up(error)

    def keep(self, about: About) -> Kept | None:
        """Give the frames their name; return `None` where not all have come, or they could not be written."""
        if self._missing:
            return None
        about = replace(about, sound=self._sound)
        try:
            notices = [notice.to_dict() for notice in about.notices]
            text = json.dumps({**asdict(about), "notices": notices}).encode()
            self._write(text + len(text).to_bytes(_LENGTH_BYTES))
            if self._file is not None:
                self._file.truncate(self._file.tell())
                os.fsync(self._file)
                self._part.replace(self.path)
        except OSError as error:
            self._give_up(error)
        if self._file is None:
            folder = str(self._part.parent)
            self.notice = Notice("unpublished.not_kept", {"path": folder, "reason": self._problem})
            return None
        self._file.close()
        self._file = None
        self.notice = kept_notice()
        sweep(self.path.parent)
        return Kept(self.path, about)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while self._file is not None and left:
            left = left[self._file.write(left) :]

    def _give_up(self, error: OSError) -> None:
        self._problem = error.strerror or str(error)
        log.warning("no frames can be kept in %s: %s", self._part.parent, self._problem)
        self._discard()

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            _remove(self._part)


def kept_notice() -> Notice:
    """Return the sentence for a clip that waits to be published."""
    return Notice("unpublished.kept", {"days": KEEP_DAYS})


def find_kept(folder: Path, name: str) -> Kept | None:
    """Return the frames that were kept under `name`, `None` where there are none that can be read."""
    path = folder / f"{name}{_SUFFIX}"
    if not path.exists():
        return None
    try:
        return read_kept(path)
    except InvalidRequest as error:
        log.warning("%s", error)
        return None


def read_kept(path: Path) -> Kept:
    """Read what is known of the frames at `path`; raise `InvalidRequest` (`unpublished.unreadable`)."""
    try:
        with path.open("rb") as file:
            size = file.seek(-_LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read())
            file.seek(size - length)
            fields = parse_json(file.read(length).decode())
        if not isinstance(fields, dict):
            raise ValueError("it does not say what it is")
        notices = read_notices(fields.pop("notices", []))
        about = replace(read_as(About, fields), notices=notices)
        sound = 0 if about.sound is None else about.sound.bytes
        if size - length != int(np.prod(_shape(about.generation))) + sound:
            raise ValueError("frames or sound are missing")
    except (OSError, ValueError) as error:  # cut off, or not ours
        name = shown(str(path), limit=300)
        raise InvalidRequest("unpublished.unreadable", path=name, reason=_reason(error)) from error
    return Kept(path, about)


def _reason(error: Exception) -> str:
    return shown(error.strerror if isinstance(error, OSError) and error.strerror else str(error))


def kept_bytes(folder: Path, name: str) -> int:
    """Return how much of a clip that was kept under `name` takes, 0 where nothing was."""
    size = checkpoint_bytes(folder / f"{name}{SUFFIX}")
    for suffix in (_SUFFIX, LATENTS):
        with suppress(OSError):  # as a rule there is none
            size += (folder / f"{name}{suffix}").stat().st_size
    return size


def remove_kept(folder: Path, name: str) -> None:
    """Remove the frames, the segments and the latents that were kept under `name`, if any."""
    _remove(folder / f"{name}{_SUFFIX}")
    _remove(folder / f"{name}{LATENTS}")
    remove_checkpoints(folder / f"{name}{SUFFIX}")


def sweep(folder: Path) -> None:
    """Remove what killed writers left, and what was kept too long or is too much."""
    for part in folder.glob(".*.part"):
        if _is_abandoned(part):
            _remove(part)
    oldest, room = time.time() - KEEP_DAYS * 86400, MAX_BYTES
    kept: list[tuple[float, int, Path]] = []
    for path in (each for suffix in (_SUFFIX, SUFFIX, LATENTS) for each in folder.glob(f"*{suffix}")):
        with suppress(OSError):  # its job was deleted or has published it meanwhile
            status = path.stat()
            size = checkpoint_bytes(path) if path.suffix == SUFFIX else status.st_size
            kept.append((status.st_mtime, size, path))
    for changed, size, path in sorted(kept, key=lambda each: -each[0]):
        room -= size
        if (changed < oldest or room < 0) and not is_being_made(path):
            log.warning("%s was kept for too long, or others need its room: it is removed", path)
            if path.suffix == SUFFIX:
                remove_checkpoints(path)
            else:
                _remove(path)


def _is_abandoned(part: Path) -> bool:
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody is writing it, or has removed it
        return False
    return True


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s could not be removed: %s", path, error.strerror or error)


def _reserve(file: IO[bytes], size: int) -> None:
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # there are file systems that cannot
            raise


def _shape(generation: Generation) -> tuple[int, int, int, int]:
    """Return (frames, height, width, channels) of what is generated."""
    return generation.total_frames, generation.generated_height, generation.generated_width, 3
