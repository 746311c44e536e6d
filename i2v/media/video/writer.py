"""Frames and sound to an MP4 that has been checked, under a name that nobody else took.

Owns encoding into a hidden part file, and decoding it again before it is published. Deliberately does not
know what the frames show, which model made them, or what the tags mean.
"""

from __future__ import annotations

import contextlib
import logging
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from i2v.core.child_environment import child_environment
from i2v.core.errors import EncodeError
from i2v.core.signals import held_back
from i2v.media.outputs import OutputTarget, part_path, publish
from i2v.media.sound import Sound
from i2v.media.video.failures import ended_with, write_error
from i2v.media.video.program import cannot_run, find_ffmpeg
from i2v.media.video.reading import VideoInfo, probe
from i2v.media.video.soundtrack import add_sound, memory_file
from i2v.media.video.tags import to_ffmetadata

CODEC, PIXEL_FORMAT = "h264", "yuv420p"  # what every browser plays
CRF = 18  # visually lossless
THREADS = "4"  # as many everywhere: their number changes what x264 writes
# How far a track's length may be off: AAC has frames of 1024 samples, and older ffmpegs keep the last one
# whole.
SPARE_SAMPLES = 2 * 1024

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
    """Writes one MP4 (H.264, yuv420p, AAC if there is sound, index first).

    Use it in a `with` statement, and call `finish` inside.

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
        self._last: NDArray[np.uint8] | None = None  # frame
        self._sound: Sound | None = None
        self._encoder: Encoder | None = None
        self._part = part_path(target)
        self._silent: Path | None = None  # the part without its sound

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with held_back():
            try:
                if self._encoder is not None:
                    self._encoder.kill()
            finally:
                self._encoder = None
                for part in (self._part, self._silent):
                    _remove(part)

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
        if len(frames):
            self._last = frames[-1:]

    def hold(self, seconds: float) -> None:
        """Repeat the last frame until the video is so long; a longer one stays. Raises as `append` does."""
        last = self._last
        if last is None:
            return
        for _ in range(math.ceil(round(seconds * self._fps, 3)) - self._num_frames):
            self.append(last)

    def add_sound(self, sound: Sound) -> None:
        """Have `sound` beside the frames: the video's length counts, it is cut or followed by silence.

        Raises `EncodeError` (`encode.bad_input`).
        """
        if problem := sound.problem():
            raise _bad_input("sound", str(sound), problem)
        self._sound = sound

    def _make_folder(self) -> None:
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self._part, error.strerror or str(error), error.errno) from error

    def finish(self) -> VideoInfo:
        """End the video, check it by decoding it, publish it, and return what it is and where.

        Raises `EncodeError`, or `InvalidRequest` (`output.exists`) if a chosen name was taken meanwhile.
        """
        if self._encoder is None:
            raise EncodeError("encode.no_frames")
        self._encoder.close()
        self._encoder = None
        if not self._part.is_file():  # or a folder above it
            raise write_error(self._part, "what was written there has been removed")
        if self._sound is not None:
            self._mix(self._sound)
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
        self._check_sound(info)
        try:
            with held_back(drop=True):  # a signal that comes now comes too late
                return replace(info, path=publish(self._part, self._target))
        except OSError as error:
            raise write_error(self._part, error.strerror or str(error), error.errno) from error

    def _mix(self, sound: Sound) -> None:
        """Have a part with `sound` take the place of the one without."""
        sound = sound.fitted(self._num_frames / self._fps)
        self._silent, self._part = self._part, part_path(self._target)
        add_sound(self._silent, sound, self._tags, self._part)
        _remove(self._silent)

    def _check_sound(self, info: VideoInfo) -> None:
        length, found = self._num_frames / self._fps, info.sound
        if (found is None) == (self._sound is None) and (
            found is None or abs(found.duration - length) * found.sample_rate <= SPARE_SAMPLES
        ):
            return
        is_there = "none" if found is None else f"{found.duration:.2f} s"
        expected = "none" if self._sound is None else f"{length:.2f} s"
        raise EncodeError("encode.mismatch", field="sound", found=is_there, expected=expected)


def _remove(part: Path | None) -> None:
    if part is None:
        return
    try:
        part.unlink(missing_ok=True)
    except NotADirectoryError:  # somebody put a file in the folder's place: the part went with it
        return
    except OSError as error:
        log.warning("%s is left and could not be removed: %s", part, error.strerror or error)


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
                self._words = undo.enter_context(memory_file())  # a pipe could fill up
                metadata = undo.enter_context(memory_file())
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
            raise self._end() or write_error(self._path, "ffmpeg ended too early") from error

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
        return ended_with(self._path, status, said)
