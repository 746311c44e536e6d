"""Videos: frames to an MP4 that has been checked, under a name that nobody else took.

Owns ffmpeg (imageio's, and only here), the names of output files and how a file appears in its folder: as a
hidden part file, decoded again, and only then published. Deliberately does not know what the frames show or
which model made them.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import itertools
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Self

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from i2v.errors import EncodeError, InvalidRequest

MIN_FREE_BYTES = 64 * 2**20
MAX_NAME_BYTES = 255  # of every usual filesystem
CODEC, PIXEL_FORMAT = "h264", "yuv420p"  # what every browser plays
CRF = 18  # visually lossless

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# ffmpeg's exit status is the low byte of its error code; these of the system's errors can happen to a writer.
_SYSTEM_ERRORS = (*_DISK_FULL, errno.ENOENT, errno.EIO, errno.ENOMEM, errno.EACCES, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file was found to be. Sides in pixels, `fps` in frames a second, `duration` in seconds."""

    path: Path
    width: int
    height: int
    fps: float
    num_frames: int
    duration: float
    codec: str
    pix_fmt: str


@dataclass(frozen=True)
class OutputName:
    """An automatic name, `video_20250405_142310.mp4`; `_2`, `_3` and so on follow where it is taken.

    when: the local time at which the request was submitted.
    """

    folder: Path
    when: datetime
    prefix: str = "video_"

    def candidates(self) -> Iterator[Path]:
        stem = f"{self.prefix}{self.when:%Y%m%d_%H%M%S}"
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

    Raises `InvalidRequest` (`output.*`) for a target to change, `EncodeError` for a full disk or no ffmpeg.
    """
    _ffmpeg_exe()
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


def _ffmpeg_exe() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EncodeError("encode.no_ffmpeg", reason=str(error)) from error


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


def _bad_input(field: str, value: str, allowed: str) -> EncodeError:
    return EncodeError("encode.bad_input", field=field, value=value, allowed=allowed)


class Mp4Writer:
    """Writes one MP4 (H.264, yuv420p, index first). Use it in a `with` statement, and call `finish` inside.

    Leaving that statement without `finish`, by whatever exception, ends ffmpeg and removes what it wrote.
    A process that is killed outright can leave a hidden `.NAME.*.part.mp4`, never a broken video.
    """

    def __init__(self, target: OutputTarget, *, fps: float, size: tuple[int, int]) -> None:
        """`size` is (width, height) in pixels, both even; raises `EncodeError` (`encode.bad_input`)."""
        if not (math.isfinite(fps) and fps > 0):
            raise _bad_input("fps", str(fps), "it must be above 0")
        if min(size) < 2 or any(side % 2 for side in size):
            raise _bad_input("size", "x".join(map(str, size)), "both sides must be even and at least 2")
        self._target = target
        self._fps = fps
        self._size = size
        self._num_frames = 0
        self._encoder: _Encoder | None = None
        stem = next(target.candidates()).stem[:40]  # short enough for its additions, whatever the name
        self._part = target.folder / f".{stem}.{secrets.token_hex(6)}.part.mp4"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._encoder is not None:
                self._encoder.kill()
        finally:
            self._encoder = None
            self._part.unlink(missing_ok=True)

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Encode `frames`, uint8 of shape (n, height, width, 3), RGB. Raises `EncodeError`."""
        shape = (self._size[1], self._size[0], 3)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != shape:
            needed = f"uint8 (n, {shape[0]}, {shape[1]}, 3) is needed"
            raise _bad_input("frames", f"{frames.dtype} {frames.shape}", needed)
        for frame in frames:
            if self._encoder is None:
                self._encoder = _Encoder(self._part, self._fps, self._size)
            self._encoder.write(np.ascontiguousarray(frame))
            self._num_frames += 1

    def finish(self) -> VideoInfo:
        """End the video, check it by decoding it, publish it, and return what it is and where.

        Raises `EncodeError`, or `InvalidRequest` (`output.exists`) if a chosen name was taken meanwhile.
        """
        if self._encoder is None:
            raise EncodeError("encode.no_frames")
        self._encoder.close()
        self._encoder = None
        info = probe(self._part)
        if info.num_frames != self._num_frames:
            raise EncodeError("encode.frames_lost", found=info.num_frames, expected=self._num_frames)
        for field, found, expected in (
            ("size", f"{info.width}x{info.height}", "x".join(map(str, self._size))),
            ("fps", round(info.fps, 2), round(self._fps, 2)),
            ("format", f"{info.codec} {info.pix_fmt}", f"{CODEC} {PIXEL_FORMAT}"),
        ):
            if found != expected:
                raise EncodeError("encode.mismatch", field=field, found=found, expected=expected)
        try:
            _sync(self._part)
            return replace(info, path=_publish(self._part, self._target))
        except OSError as error:
            raise _write_error(self._part, error.strerror or str(error), error.errno) from error


class _Encoder:
    """One running ffmpeg.

    imageio-ffmpeg starts and feeds it, but never looks at its exit status and keeps its process to itself, so
    that is taken from the generator's frame. At level `error` ffmpeg is silent unless something fails; then
    its lines go to this process's own stderr, and its exit status tells this class the reason.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._path = path
        self._sink: Generator[None, NDArray[np.uint8] | None, None] = imageio_ffmpeg.write_frames(
            str(path.absolute()),
            size,
            fps=fps,
            codec="libx264",
            pix_fmt_out=PIXEL_FORMAT,
            quality=None,  # it would add its own -crf
            macro_block_size=2,  # the default, 16, rescales other sizes
            ffmpeg_log_level="error",
            output_params=["-crf", str(CRF), "-movflags", "+faststart"],
        )
        self._sink.send(None)
        self.process: subprocess.Popen[bytes] = inspect.getgeneratorlocals(self._sink)["p"]

    def write(self, frame: NDArray[np.uint8]) -> None:
        try:
            self._sink.send(frame)
        except OSError as error:  # ffmpeg is gone, and has been waited for
            self._reap()
            raise self._error() from error

    def close(self) -> None:
        """Let ffmpeg finish the file; raise `EncodeError` unless it says that it succeeded."""
        self._sink.close()
        self._reap()
        if self.process.returncode != 0:
            raise self._error()

    def kill(self) -> None:
        self.process.kill()
        self._reap()
        self._sink.close()

    def _reap(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # what was still buffered for a dead ffmpeg
                self.process.stdin.close()
        self.process.wait()

    def _error(self) -> EncodeError:
        status = self.process.returncode
        if status < 0:
            return _write_error(self._path, f"ffmpeg was stopped: {signal.strsignal(-status)}")
        number = 256 - status
        if number in _SYSTEM_ERRORS:
            return _write_error(self._path, f"ffmpeg: {os.strerror(number)}", number)
        return _write_error(self._path, f"ffmpeg ended with status {status}")


def _write_error(part: Path, reason: str, number: int | None = None) -> EncodeError:
    code = "encode.no_space" if number in _DISK_FULL else "encode.failed"
    return EncodeError(code, path=str(part.parent), reason=reason)


def _publish(part: Path, target: OutputTarget) -> Path:
    """Give the part file its name, in one step that others see wholly or not at all; return the name."""
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


def probe(path: Path) -> VideoInfo:
    """Decode all of `path` and return what it is; raise `EncodeError` (`encode.broken`) where that fails.

    ffmpeg prints one line for each frame that it really decoded; those are counted and timed here. H.264 has
    no checksums: missing parts are noticed, a few flipped bits may only look wrong.
    """
    command = [_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", "-v", "level+info", "-xerror"]
    command += ["-err_detect", "explode", "-i", f"file:{path}", "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    log, lines = done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0:
        errors = re.findall(r"\[(?:error|fatal)\] (.*?)\.?$", log, re.MULTILINE)
        reason = errors[0] if errors else f"ffmpeg ended with status {done.returncode}"
        raise EncodeError("encode.broken", path=str(path), reason=reason)
    stream = re.search(r"Video: (\w+)[^,]*, (\w+)", log)
    header = dict(line[1:].split(": ", 1) for line in lines if line.startswith("#"))
    # Each line: stream, decoding time, presentation time, duration, bytes, checksum; times in units of "tb".
    ticks = sum(int(line.split(",")[3]) for line in lines if not line.startswith("#"))
    num_frames = len(lines) - len(header)
    if stream is None or ticks <= 0:
        raise EncodeError("encode.broken", path=str(path), reason="there is no video in it")
    width, height = map(int, header["dimensions 0"].split("x"))
    duration = ticks * Fraction(header["tb 0"])
    fps = float(num_frames / duration)
    return VideoInfo(path, width, height, fps, num_frames, float(duration), stream[1], stream[2])
