"""The pictures and sounds of jobs: kept once for each content, shared by the jobs that have it, gone with the
last of them.

Owns the folder of inputs while the service runs: the names in it, how a file gets its name, and who may
take it away. A picture `NAME.picture` has its thumbnail `NAME.jpg` beside it; NAME is the SHA-256 of what
was uploaded. A clip that a job enhances lies there as `NAME.clip`, in the same way, a sound as `NAME.sound`,
with nothing beside it. Earlier versions wrote `JOB.png` for each job, which is read as a picture is. What is
in the files is `decoder`'s business, and `audio.files`'.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from i2v.core.errors import InvalidRequest, not_stored
from i2v.jobs.model import SOUND_SUFFIX, Job, is_sound, new_job_id
from i2v.media.audio.files import SoundLimits, keep_sound
from i2v.media.decoder import DecodedFile, decode_to_file, read_picture, read_png, thumbnail_of
from i2v.media.image import ImageLimits

SUFFIX = ".picture"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewInput:
    """A picture that was decoded and is not yet a job's; `close` it at the end, whatever came of it.

    Attributes:
        name: of the file that it will be.
        part: where it lies until then.
    """

    name: str
    decoded: DecodedFile
    part: Path

    def close(self) -> None:
        _remove(self.part)


@dataclass(frozen=True)
class NewSound:
    """The same of a sound; `seconds`: how long it is."""

    name: str
    seconds: float
    part: Path

    def close(self) -> None:
        _remove(self.part)


class Inputs:
    """The folder of inputs. Made for one process: nobody else gives names or takes files away meanwhile."""

    def __init__(self, folder: Path, is_used: Callable[[str], bool]) -> None:
        """`is_used` tells whether a job has the picture of this name (`JobStore.has_input`)."""
        self._folder = folder
        self._is_used = is_used
        self._lock = threading.Lock()

    def decode(self, picture: bytes, limits: ImageLimits) -> NewInput:
        """Return the picture as a file without its final name; raises as `decode_to_file` does."""
        digest, part = self._named(picture)
        try:
            return NewInput(f"{digest}{SUFFIX}", decode_to_file(picture, limits, part), part)
        except BaseException:
            _remove(part)
            raise

    def decode_sound(self, sound: bytes, limits: SoundLimits) -> NewSound:
        """Return the sound as a file without its final name; raises as `keep_sound` does."""
        digest, part = self._named(sound)
        try:
            return NewSound(f"{digest}{SOUND_SUFFIX}", keep_sound(sound, limits, part), part)
        except BaseException:
            _remove(part)
            raise

    def _named(self, data: bytes) -> tuple[str, Path]:
        digest = hashlib.sha256(data).hexdigest()
        return digest, self._folder / f"{digest}-{new_job_id()}.part"  # its stem is nobody's: it is swept

    def accept(self, new: Sequence[NewInput | NewSound], accept: Callable[[], Job]) -> Job:
        """Give the files their names, then return what `accept` returns, the job that has them.

        If that raises, or the job has other files, they go. Raises `EncodeError` too:
        `image.no_space`, `image.not_stored`.
        """
        with self._lock:
            used: tuple[str, ...] = ()
            try:
                for each in new:
                    self._publish(each.part, self._folder / each.name)
                job = accept()
                used = job.inputs
            finally:
                for name in {each.name for each in new}.difference(used):
                    self._release(name)
            return job

    def release(self, names: Iterable[str], forget: Callable[[], Job]) -> Job:
        """Return what `forget` returns, which takes a job away, and remove its pictures that no other has."""
        with self._lock:
            forgotten = forget()
            for name in names:
                self._release(name)
        return forgotten

    def picture(self, name: str) -> Image.Image | None:
        """Return the picture's pixels, `None` if it is gone; raises `I2VError` if it cannot be read now."""
        try:
            return read_picture(self._folder / name).image
        except (OSError, InvalidRequest):  # the second: somebody has changed the file
            return None

    def png(self, name: str) -> bytes | None:
        """Return the picture as a PNG file, `None` if it is gone; raises as `decode_to_file` does."""
        try:
            return read_png(self._folder / name)
        except OSError:  # the job was deleted, or somebody tidied up
            return None

    def thumbnail(self, name: str) -> bytes | None:
        """Return the picture, small (`decoder.THUMBNAIL_TYPE`); `None` if it is gone."""
        try:
            return thumbnail_of(self._folder / name).read_bytes() or None
        except OSError:
            return None

    def sound(self, name: str) -> bytes | None:
        """Return the sound as it is kept, WAV; `None` if it is gone."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def bytes_of(self, name: str) -> int:
        """Return how much the file takes, with its thumbnail."""
        file = self._folder / name
        return _size(file) + _size(thumbnail_of(file))

    def _publish(self, part: Path, file: Path) -> None:
        try:
            if not is_sound(file.name):
                thumbnail_of(part).replace(thumbnail_of(file))
            part.replace(file)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise not_stored(self._folder, error) from error

    def _release(self, name: str) -> None:
        if not self._is_used(name):
            _remove(self._folder / name)


def _remove(file: Path) -> None:
    """Remove a picture and its thumbnail. What stays in spite of that is found at the next start."""
    for each in (file, thumbnail_of(file)):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed: %s", each, error.strerror or error)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # somebody tidied up
        return 0
