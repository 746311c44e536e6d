"""Whether the ffmpeg that is there can do all that the end of a job asks of it, tried before its start.

A clip of two frames is encoded, decoded and searched for its tags by the very functions that real clips go
through, in memory. Deliberately does not know what those functions ask of ffmpeg.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np

from i2v.core.errors import EncodeError
from i2v.media.video.program import find_ffmpeg, read_version
from i2v.media.video.reading import probe
from i2v.media.video.tags import read_tags
from i2v.media.video.writer import Encoder

OLDEST, OLDEST_TEXT = (5, 1), "5.1"  # has -fps_mode
SIZE, FPS = (64, 64), 8.0
TAGS = {"i2v": "a=b;c 影"}
SECONDS = 60.0  # for each of the three runs; they take some hundredths


def check_ffmpeg() -> None:
    """Raise `EncodeError` unless ffmpeg does all that a clip needs: better now than after denoising.

    It is tried once for a program; one that was replaced is tried again, and one that failed each time.
    Codes: `encode.no_ffmpeg`, `encode.no_libx264`, `encode.old_ffmpeg`, `encode.unfit_ffmpeg`.
    """
    path = find_ffmpeg()
    try:
        found = os.stat(path)  # noqa: PTH116 - `path` is text everywhere here
    except OSError as error:
        raise EncodeError("encode.no_ffmpeg", reason=f"{path}: {error.strerror}") from error
    _prove(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4)  # of what succeeded: an exception is not kept
def _prove(path: str, *identity: int) -> None:
    prove_ffmpeg()


def prove_ffmpeg() -> None:
    """Do the same without regard to earlier tries."""
    path = find_ffmpeg()
    try:
        _try_clip()
    except subprocess.TimeoutExpired:
        raise _unfit(path, f"it did not end within {SECONDS:g} s") from None
    except EncodeError as error:
        if error.code == "encode.no_ffmpeg":
            raise
        raise _unfit(path, str(error.params["reason"])) from error


def _try_clip() -> None:
    with open(os.memfd_create("clip"), "rb") as clip:  # noqa: PTH123 - there is no path
        path, files = Path(f"/dev/fd/{clip.fileno()}"), (clip.fileno(),)
        encoder = Encoder(path, FPS, SIZE, TAGS, files)
        try:
            for _ in range(2):
                encoder.write(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
            encoder.close(SECONDS)
        finally:
            encoder.kill()
        info = probe(path, files, SECONDS)
        if (info.width, info.height, info.num_frames, info.fps) != (*SIZE, 2, FPS):
            reason = f"{info.num_frames} frames of {info.width} x {info.height} at {info.fps:g} came out"
            raise EncodeError("encode.broken", path=str(path), reason=reason)
        if not TAGS.items() <= read_tags(path, SECONDS, files).items():
            raise EncodeError("encode.broken", path=str(path), reason="the metadata is not in the file")


def _unfit(path: str, reason: str) -> EncodeError:
    """Return the error that says what `path` lacks, `reason` being its own words."""
    version = read_version(path, SECONDS)
    numbers = re.match(r"n?(\d+)\.(\d+)", version)  # builds of a single commit have other names
    if "libx264" in reason:
        return EncodeError("encode.no_libx264", path=path, version=version)
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST:
        return EncodeError("encode.old_ffmpeg", path=path, version=version, oldest=OLDEST_TEXT)
    return EncodeError("encode.unfit_ffmpeg", path=path, version=version, reason=reason)
