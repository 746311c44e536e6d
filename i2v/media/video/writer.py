"""Frames to an MP4 that has been checked, under a name that nobody else took.

Owns encoding into a hidden part file, and decoding it again before it is published. Deliberately does not
know what the frames show, which model made them, or what the tags mean.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from i2v.core.child_environment import child_environment
from i2v.core.errors import DISK_FULL, EncodeError
from i2v.core.signals import held_back
from i2v.media.outputs import OutputTarget, part_path, publish
from i2v.media.video.program import cannot_run, find_ffmpeg
from i2v.media.video.reading import VideoInfo, probe
from i2v.media.video.tags import to_ffmetadata

CODEC, PIXEL_FORMAT = "h264", "yuv420p"  # what every browser plays
CRF = 18  # visually lossless
THREADS = "4"  # as many everywhere: their number changes what x264 writes

# BT.709 at every size, and said so: without tags, browsers guess by the number of lines. The filter says it
# of the frames, which is what newer ffmpegs go by, and the options of the stream, which older ones want.
_COLOURS = (
    *("-vf", f"scale=out_color_matrix=bt709:out_range=tv,format={PIXEL_FORMAT},setparams=range=tv"
      ":color_primaries=bt709:color_trc=bt709:colorspace=bt709"),
    *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"),
)  # fmt: skip


log = logging.getLogger(__name__)


def _bad_input(field: str, value: str, allowed: str) -> EncodeError:
    return EncodeError("encode.bad_input", field=field, value=value, allowed=allowed)


class Mp4Writer:
    """Writes one MP4 (H.264, yuv420p, index first). Use it in a `with` statement, and call `finish` inside.

    Leaving that statement without `finish`, by whatever exception, ends ffmpeg and removes what it wrote.
    A process that is killed outright can leave a hidden `.NAME.*.part.mp4`, never a broken video.
    """

    def __init__(
        self,
        target: OutputTarget,
        *,
        fps: float,
        size: tuple[int, int],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Args:
            size: (width, height) in pixels, both even.
            tags: metadata of the file, text of any length by name.

        Raises `EncodeError` (`encode.bad_input`).
        """
        if not (math.isfinite(fps) and fps > 0):
            raise _bad_input("fps", str(fps), "it must be above 0")
        if min(size) < 2 or any(side % 2 for side in size):
            raise _bad_input("size", "x".join(map(str, size)), "both sides must be even and at least 2")
        for name, text in (tags or {}).items():
            if text.endswith("\\"):
                raise _bad_input(f"tag {name}", text[-20:], "it may not end in a backslash")
        self._target = target
        self._fps = fps
        self._size = size
        self._tags = tags or {}
        self._num_frames = 0
        self._encoder: Encoder | None = None
        self._part = part_path(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with held_back():
            try:
                if self._encoder is not None:
                    self._encoder.kill()
            finally:
                self._encoder = None
                self._remove_part()

    def _remove_part(self) -> None:
        try:
            self._part.unlink(missing_ok=True)
        except NotADirectoryError:  # somebody put a file in the folder's place: the part went with it
            return
        except OSError as error:
            log.warning("%s is left and could not be removed: %s", self._part, error.strerror or error)

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Encode `frames`, uint8 of shape (n, height, width, 3), RGB. Raises `EncodeError`.

        The folder is made again if it is gone when the first one comes.
        """
        shape = (self._size[1], self._size[0], 3)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != shape:
            needed = f"uint8 (n, {shape[0]}, {shape[1]}, 3) is needed"
            raise _bad_input("frames", f"{frames.dtype} {frames.shape}", needed)
        for frame in frames:
            if self._encoder is None:
                self._make_folder()
                with held_back():  # a process that nobody knows could not be ended
                    self._encoder = Encoder(self._part, self._fps, self._size, self._tags)
            self._encoder.write(np.ascontiguousarray(frame))
            self._num_frames += 1

    def _make_folder(self) -> None:
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _write_error(self._part, error.strerror or str(error), error.errno) from error

    def finish(self) -> VideoInfo:
        """End the video, check it by decoding it, publish it, and return what it is and where.

        Raises `EncodeError`, or `InvalidRequest` (`output.exists`) if a chosen name was taken meanwhile.
        """
        if self._encoder is None:
            raise EncodeError("encode.no_frames")
        self._encoder.close()
        self._encoder = None
        if not self._part.is_file():  # or a folder above it
            raise _write_error(self._part, "what was written there has been removed")
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
            with held_back(drop=True):  # a signal that comes now comes too late
                return replace(info, path=publish(self._part, self._target))
        except OSError as error:
            raise _write_error(self._part, error.strerror or str(error), error.errno) from error


class Encoder:
    """One running ffmpeg that frames are piped into, and all that it says.

    What ffmpeg reads and says besides the frames stays in memory: no other disk can be full.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        tags: Mapping[str, str],
        files: Sequence[int] = (),
    ) -> None:
        """Args:
            path: what is written. `files`: descriptors that ffmpeg gets; `path` may be one, as in /dev/fd/3.
        Raises `EncodeError` (`encode.no_ffmpeg`, `encode.failed`).
        """
        self._path = path
        program = find_ffmpeg()
        with contextlib.ExitStack() as undo:
            try:
                self._words = undo.enter_context(_memory_file())  # a pipe could fill up
                metadata = undo.enter_context(_memory_file())
            except OSError as error:
                raise cannot_run(program, error) from error
            metadata.write(to_ffmetadata(tags))
            metadata.flush()
            self.process = self._start(program, fps, size, metadata.fileno(), files)
            undo.pop_all()  # the words live as long as ffmpeg
            metadata.close()

    def _start(
        self, program: str, fps: float, size: tuple[int, int], metadata: int, files: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        command = [
            *(program, "-y", "-hide_banner", "-nostdin", "-v", "error"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"),
            *("-framerate", f"{fps:.6f}", "-i", "pipe:0"),
            # a file, since the command line breaks at long texts; by its number, it needs no name
            *("-f", "ffmetadata", "-i", f"/dev/fd/{metadata}"),
            *("-map", "0:v", "-map_metadata", "1", "-c:v", "libx264", "-threads", THREADS),
            *("-crf", str(CRF), *_COLOURS),
            *("-pix_fmt", PIXEL_FORMAT, "-movflags", "+faststart+use_metadata_tags", "-f", "mp4"),
            f"file:{self._path.absolute()}",
        ]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=(metadata, *files),
                process_group=0,  # Ctrl-C is for us; what becomes of the video is decided here
                env=child_environment(),
            )
        except OSError as error:
            raise cannot_run(program, error) from error

    def write(self, frame: NDArray[np.uint8]) -> None:
        try:
            self._stdin.write(frame.data)
        except OSError as error:  # ffmpeg is gone
            raise self._end() or _write_error(self._path, "ffmpeg ended too early") from error

    def close(self, seconds: float | None = None) -> None:
        """Let ffmpeg finish the file; raise `EncodeError` unless it says that it succeeded.

        seconds: how long it may take; `subprocess.TimeoutExpired` is raised then, and it still runs.
        """
        error = self._end(seconds)
        if error is not None:
            raise error

    def kill(self) -> None:
        self.process.kill()
        self._end()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None  # it was opened as a pipe
        return self.process.stdin

    def _end(self, seconds: float | None = None) -> EncodeError | None:
        """Wait for ffmpeg and return what went wrong, in its own words."""
        with contextlib.suppress(BrokenPipeError):  # what was still buffered for a dead ffmpeg
            self._stdin.close()
        status = self.process.wait(seconds)
        if self._words.closed:  # it has been told already
            return None
        with self._words:
            self._words.seek(0)
            said = self._words.read().decode(errors="replace")
        if status == 0:
            return None
        if status < 0:
            return _write_error(self._path, f"ffmpeg was stopped: {signal.strsignal(-status)}")
        # The last line sums up ("Conversion failed!"), the first says what happened.
        words = (
            re.sub(r"^\[[^\]]*\] ", "", said.partition("\n")[0])
            .replace(f" file:{self._path.absolute()}", "")
            .strip()
            or f"it ended with status {status}"
        )
        # Since 6.0, ffmpeg's exit status is the low byte of its error code, which is a negative errno.
        full = (number for number in DISK_FULL if os.strerror(number) in said)
        return _write_error(self._path, f"ffmpeg: {words}", next(full, 256 - status))


def _memory_file() -> IO[bytes]:
    return open(os.memfd_create("i2v"), "w+b")  # noqa: PTH123 - there is no path


def _write_error(part: Path, reason: str, number: int | None = None) -> EncodeError:
    code = "encode.no_space" if number in DISK_FULL else "encode.failed"
    return EncodeError(code, path=str(part.parent), reason=reason)
