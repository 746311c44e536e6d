"""What a video is, by decoding it, and single frames of it. Tags are `tags`' business."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from i2v.core.errors import EncodeError
from i2v.media.video.program import broken, run_ffmpeg

POSTER_WIDTH = 480  # pixels, at most


@dataclass(frozen=True)
class SoundInfo:
    """What the first sound track was found to be. `sample_rate` in hertz, `duration` in seconds."""

    codec: str
    sample_rate: int
    channel_layout: str
    duration: float


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
    sound: SoundInfo | None = None


def probe(path: Path, files: Sequence[int] = (), timeout: float | None = None) -> VideoInfo:
    """Decode all of `path` and return what it is; raise `EncodeError` (`encode.broken`) where that fails.

    ffmpeg prints one line for each frame that it really decoded; those are counted and timed here, and so are
    the samples of the first sound track. H.264 has no checksums: missing parts are noticed, a few flipped
    bits may only look wrong.

    files, timeout: see `run_ffmpeg`; `path` may be one of the files, as in /dev/fd/3.
    """
    command = ["-nostats", "-v", "level+info", "-xerror"]
    command += ["-err_detect", "explode", "-i", f"file:{path}", "-map", "0:v:0", "-map", "0:a:0?"]
    command += ["-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = run_ffmpeg(*command, files=files, timeout=timeout)
    log, lines = done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0:
        raise broken(path, done)
    stream = _described(log, r"Video: (\w+)[^,]*, (\w+)")
    header = dict(line[1:].split(": ", 1) for line in lines if line.startswith("#"))
    num_frames, duration = _timed(lines, header, 0)
    if stream is None or duration <= 0:
        raise EncodeError("encode.broken", path=str(path), reason="there is no video in it")
    width, height = map(int, header["dimensions 0"].split("x"))
    fps = float(num_frames / duration)
    return VideoInfo(
        path,
        width,
        height,
        fps,
        num_frames,
        float(duration),
        stream[1],
        stream[2],
        _sound(log, lines, header),
    )


def _sound(log: str, lines: Sequence[str], header: Mapping[str, str]) -> SoundInfo | None:
    stream = _described(log, r"Audio: (\w+)[^,]*, (\d+) Hz, ([^,]+)")
    if stream is None or "tb 1" not in header:
        return None
    return SoundInfo(stream[1], int(stream[2]), stream[3], float(_timed(lines, header, 1)[1]))


def _described(log: str, words: str) -> re.Match[str] | None:
    """Find the first line about a stream that has these words."""
    # at the start of its line: the tags, which may say anything, are printed too
    return re.search(rf"^(?:\[info\])?\s*Stream #0:\d+.*?: {words}", log, re.MULTILINE)


def _timed(lines: Sequence[str], header: Mapping[str, str], index: int) -> tuple[int, Fraction]:
    """Return how many pieces of a stream were decoded, and the seconds that they last."""
    # Each line: stream, decoding time, presentation time, duration, bytes, checksum; times in units of "tb".
    pieces = [line.split(",") for line in lines if line.startswith(f"{index},")]
    return len(pieces), sum(int(piece[3]) for piece in pieces) * Fraction(header.get(f"tb {index}", 0))


def read_last_frame(path: Path) -> bytes:
    """Return the video's last frame as a PNG file; raise `EncodeError` (`encode.broken`) if it has none.

    It is chosen by its number, since seeking to the end by time may miss it by a frame.
    """
    last = probe(path).num_frames - 1
    # The colours leave the video's tags behind: a PNG that repeats them is shown otherwise than one without.
    untagged = "format=rgb24,setparams=color_primaries=unknown:color_trc=unknown"
    return _read_frame(path, f"select=eq(n\\,{last}),{untagged}", "-c:v", "png")


def read_poster(path: Path) -> bytes:
    """Return the video's first frame as a JPEG file, scaled down to `POSTER_WIDTH`; raises as above."""
    # every reader of JPEG expects BT.601 in the full range, whatever the video has
    size = f"scale=min({POSTER_WIDTH}\\,iw):-2"
    # by way of RGB, since not every version converts from one matrix to another
    filters = f"format=rgb24,{size}:out_color_matrix=bt601:out_range=pc,format=yuvj420p"
    return _read_frame(path, filters, "-c:v", "mjpeg", "-q:v", "4")


def _read_frame(path: Path, filters: str, *encoding: str) -> bytes:
    command = ["-v", "level+error", "-i", f"file:{path}", "-map", "0:v:0", "-vf", filters, "-frames:v", "1"]
    done = run_ffmpeg(*command, "-map_metadata", "-1", *encoding, "-f", "image2pipe", "-")
    if done.returncode != 0 or not done.stdout:
        raise broken(path, done)
    return done.stdout
