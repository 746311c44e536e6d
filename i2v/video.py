"""Videos: frames to an MP4 that has been checked, under a name that nobody else took.

Owns ffmpeg (imageio's, and only here): encoding into a hidden part file, decoding it again before it is
published, and the tags in it. Deliberately does not know what the frames show, which model made them, or what
the tags mean.
"""

from __future__ import annotations

import contextlib
import errno
import math
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Self

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from i2v.errors import EncodeError
from i2v.outputs import OutputTarget, part_path, publish
from i2v.signals import held_back

CODEC, PIXEL_FORMAT = "h264", "yuv420p"  # what every browser plays
CRF = 18  # visually lossless
THREADS = "4"  # as many everywhere: their number changes what x264 writes

POSTER_WIDTH = 480  # pixels, at most
MAX_TAGS = 2**20  # bytes of a file's metadata; ours has some thousand
MAX_TAGS_MEMORY = 2**28  # bytes that ffmpeg may ask for at once to read it

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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


def check_ffmpeg() -> None:
    """Raise `EncodeError` (`encode.no_ffmpeg`) where no ffmpeg runs: better now than after denoising."""
    done = _run_ffmpeg("-version")
    if done.returncode != 0:
        raise EncodeError("encode.no_ffmpeg", reason=f"it ended with status {done.returncode}")


def _run_ffmpeg(*arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [_ffmpeg_exe(), "-hide_banner", "-nostdin", *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=timeout)
    except OSError as error:
        raise EncodeError("encode.no_ffmpeg", reason=error.strerror or str(error)) from error


def _ffmpeg_exe() -> str:
    try:
        path = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EncodeError("encode.no_ffmpeg", reason=str(error)) from error
    if shutil.which(path) is None:  # imageio-ffmpeg takes $IMAGEIO_FFMPEG_EXE at its word
        raise EncodeError("encode.no_ffmpeg", reason=f"{path} is not a program")
    return path


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
        self._encoder: _Encoder | None = None
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
                self._part.unlink(missing_ok=True)

    def append(self, frames: NDArray[np.uint8]) -> None:
        """Encode `frames`, uint8 of shape (n, height, width, 3), RGB. Raises `EncodeError`."""
        shape = (self._size[1], self._size[0], 3)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != shape:
            needed = f"uint8 (n, {shape[0]}, {shape[1]}, 3) is needed"
            raise _bad_input("frames", f"{frames.dtype} {frames.shape}", needed)
        for frame in frames:
            if self._encoder is None:
                with held_back():  # a process that nobody knows could not be ended
                    self._encoder = _Encoder(self._part, self._fps, self._size, self._tags)
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
            with held_back(drop=True):  # a signal that comes now comes too late
                return replace(info, path=publish(self._part, self._target))
        except OSError as error:
            raise _write_error(self._part, error.strerror or str(error), error.errno) from error


class _Encoder:
    """One running ffmpeg that frames are piped into, and all that it says."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int], tags: Mapping[str, str]) -> None:
        self._path = path
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as ffmpeg; a pipe could fill up
        try:
            self.process = self._start(fps, size, tags)
        except OSError as error:  # no such program, or no room for temporary files
            self._words.close()
            raise _write_error(path, error.strerror or str(error), error.errno) from error

    def _start(self, fps: float, size: tuple[int, int], tags: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with tempfile.TemporaryFile() as metadata:
            metadata.write(_to_ffmetadata(tags))
            metadata.flush()
            return subprocess.Popen(
                [
                    *(_ffmpeg_exe(), "-y", "-hide_banner", "-nostdin", "-v", "error"),
                    *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"),
                    *("-framerate", f"{fps:.6f}", "-i", "pipe:0"),
                    # a file, since the command line breaks at long texts; by its number, it needs no name
                    *("-f", "ffmetadata", "-i", f"/dev/fd/{metadata.fileno()}"),
                    *("-map", "0:v", "-map_metadata", "1", "-c:v", "libx264", "-threads", THREADS),
                    *("-crf", str(CRF)),
                    *("-pix_fmt", PIXEL_FORMAT, "-movflags", "+faststart+use_metadata_tags"),
                    f"file:{self._path.absolute()}",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=(metadata.fileno(),),
                process_group=0,  # Ctrl-C is for us; what becomes of the video is decided here
            )

    def write(self, frame: NDArray[np.uint8]) -> None:
        try:
            self._stdin.write(frame.data)
        except OSError as error:  # ffmpeg is gone
            raise self._end() or _write_error(self._path, "ffmpeg ended too early") from error

    def close(self) -> None:
        """Let ffmpeg finish the file; raise `EncodeError` unless it says that it succeeded."""
        error = self._end()
        if error is not None:
            raise error

    def kill(self) -> None:
        self.process.kill()
        self._end()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None  # it was opened as a pipe
        return self.process.stdin

    def _end(self) -> EncodeError | None:
        """Wait for ffmpeg and return what went wrong, in its own words."""
        with contextlib.suppress(BrokenPipeError):  # what was still buffered for a dead ffmpeg
            self._stdin.close()
        status = self.process.wait()
        if self._words.closed:  # it has been told already
            return None
        with self._words:
            self._words.seek(0)
            lines = self._words.read().decode(errors="replace").split("\n")
        if status == 0:
            return None
        if status < 0:
            return _write_error(self._path, f"ffmpeg was stopped: {signal.strsignal(-status)}")
        # The last line sums up ("Conversion failed!"), the first says what happened.
        words = (
            re.sub(r"^\[[^\]]*\] ", "", lines[0]).replace(f" file:{self._path.absolute()}", "").strip()
            or f"it ended with status {status}"
        )
        # ffmpeg's exit status is the low byte of its error code, which is a negative errno
        return _write_error(self._path, f"ffmpeg: {words}", 256 - status)


def _write_error(part: Path, reason: str, number: int | None = None) -> EncodeError:
    code = "encode.no_space" if number in _DISK_FULL else "encode.failed"
    return EncodeError(code, path=str(part.parent), reason=reason)


def probe(path: Path) -> VideoInfo:
    """Decode all of `path` and return what it is; raise `EncodeError` (`encode.broken`) where that fails.

    ffmpeg prints one line for each frame that it really decoded; those are counted and timed here. H.264 has
    no checksums: missing parts are noticed, a few flipped bits may only look wrong.
    """
    command = ["-nostats", "-v", "level+info", "-xerror"]
    command += ["-err_detect", "explode", "-i", f"file:{path}", "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = _run_ffmpeg(*command)
    log, lines = done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0:
        raise _broken(path, done)
    # at the start of its line: the tags, which may say anything, are printed too
    stream = re.search(r"^(?:\[info\])?\s*Stream #0:\d+.*?: Video: (\w+)[^,]*, (\w+)", log, re.MULTILINE)
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


def read_last_frame(path: Path) -> bytes:
    """Return the video's last frame as a PNG file; raise `EncodeError` (`encode.broken`) if it has none.

    It is chosen by its number, since seeking to the end by time may miss it by a frame.
    """
    last = probe(path).num_frames - 1
    return _read_frame(path, f"select=eq(n\\,{last})", "-pix_fmt", "rgb24", "-c:v", "png")


def read_poster(path: Path) -> bytes:
    """Return the video's first frame as a JPEG file, scaled down to `POSTER_WIDTH`; raises as above."""
    return _read_frame(path, f"scale=min({POSTER_WIDTH}\\,iw):-2", "-c:v", "mjpeg", "-q:v", "4")


def _read_frame(path: Path, filters: str, *encoding: str) -> bytes:
    command = ["-v", "level+error", "-i", f"file:{path}", "-map", "0:v:0", "-vf", filters, "-frames:v", "1"]
    done = _run_ffmpeg(*command, "-map_metadata", "-1", *encoding, "-f", "image2pipe", "-")
    if done.returncode != 0 or not done.stdout:
        raise _broken(path, done)
    return done.stdout


def _broken(path: Path, done: subprocess.CompletedProcess[bytes]) -> EncodeError:
    errors = re.findall(r"\[(?:error|fatal)\] (.*?)\.?$", done.stderr.decode(errors="replace"), re.MULTILINE)
    reason = errors[0] if errors else f"ffmpeg ended with status {done.returncode}"
    return EncodeError("encode.broken", path=str(path), reason=reason)


def read_tags(path: Path, seconds: float = 20.0) -> dict[str, str]:
    """Return the metadata of an MP4 file by name; raise `EncodeError` (`encode.broken`) if it is none.

    Anybody may have made the file. It is read as MP4 and nothing else, since a playlist would have ffmpeg
    open other files and addresses; no frame is decoded; time, memory and what is taken over have limits.
    """
    command = ["-v", "level+error", "-max_alloc", str(MAX_TAGS_MEMORY)]
    command += ["-f", "mov", "-protocol_whitelist", "file", "-nofind_stream_info", "-i", f"file:{path}"]
    try:
        done = _run_ffmpeg(*command, "-f", "ffmetadata", "-", timeout=seconds)
    except subprocess.TimeoutExpired as error:
        reason = f"reading it took over {seconds:g} s"
        raise EncodeError("encode.broken", path=str(path), reason=reason) from error
    if done.returncode != 0:
        raise _broken(path, done)
    if len(done.stdout) > MAX_TAGS:
        raise EncodeError("encode.broken", path=str(path), reason=f"its metadata has over {MAX_TAGS} bytes")
    return _from_ffmetadata(done.stdout.decode(errors="replace"))


# https://ffmpeg.org/ffmpeg-formats.html#Metadata-2: these are escaped by a backslash, the end of a line too.
_SPECIAL = re.compile(r"[=;#\\\n]")
_HEADER = ";FFMETADATA1"


def _to_ffmetadata(tags: Mapping[str, str]) -> bytes:
    def escaped(text: str) -> str:
        return _SPECIAL.sub(lambda found: "\\" + found[0], text)

    lines = [_HEADER, *(f"{escaped(name)}={escaped(text)}" for name, text in tags.items())]
    return "\n".join([*lines, ""]).encode()


def _from_ffmetadata(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in re.findall(r"((?:\\.|[^\\\n])*)\n", text, re.DOTALL):
        if line.startswith("["):  # sections of streams and chapters follow
            break
        pair = re.fullmatch(r"((?:\\.|[^\\=])*)=(.*)", line, re.DOTALL)
        if pair is not None and not line.startswith((";", "#")):
            name, value = (re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in pair.groups())
            tags[name] = value
    return tags
