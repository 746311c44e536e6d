"""Whether the ffmpeg that is there can do all that the end of a job asks of it, tried before its start.

A clip of two frames, with sound where that is needed, is encoded, decoded and searched for its tags by the
very functions that real clips go through, in memory. Deliberately does not know what those functions ask of
ffmpeg.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from i2v.core.errors import EncodeError
from i2v.media.sound import Sound
from i2v.media.video.program import find_ffmpeg, read_version
from i2v.media.video.reading import probe
from i2v.media.video.soundtrack import add_sound
from i2v.media.video.tags import read_tags
from i2v.media.video.writer import Encoder

OLDEST, OLDEST_TEXT = (5, 1), "5.1"  # has -fps_mode
SIZE, FPS, NUM_FRAMES = (64, 64), 8.0, 2
SAMPLE_RATE = 16_000
TAGS = {"i2v": "a=b;c 影"}
SECONDS = 60.0  # for each of the runs; they take some hundredths


def check_ffmpeg(with_sound: bool = False) -> None:
    """Raise `EncodeError` unless ffmpeg does all that a clip needs: better now than after denoising.

    with_sound: the clip has sound, which not every ffmpeg can encode.

    It is tried once for a program; one that was replaced is tried again, and one that failed each time.
    Codes: `encode.no_ffmpeg`, `encode.no_libx264`, `encode.no_aac`, `encode.old_ffmpeg`,
    `encode.unfit_ffmpeg`.
    """
    path = find_ffmpeg()
    try:
        found = os.stat(path)  # noqa: PTH116 - `path` is text everywhere here
    except OSError as error:
        raise EncodeError("encode.no_ffmpeg", reason=f"{path}: {error.strerror}") from error
    _prove(path, with_sound, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4)  # of what succeeded: an exception is not kept
def _prove(path: str, with_sound: bool, *identity: int) -> None:
    prove_ffmpeg(with_sound)


def prove_ffmpeg(with_sound: bool = False) -> None:
    """Do the same without regard to earlier tries."""
    path = find_ffmpeg()
    try:
        _try_clip(with_sound)
    except subprocess.TimeoutExpired:
        raise _unfit(path, f"it did not end within {SECONDS:g} s") from None
    except EncodeError as error:
        if error.code == "encode.no_ffmpeg":
            raise
        raise _unfit(path, str(error.params["reason"])) from error


def _try_clip(with_sound: bool) -> None:
    with _nameless_file() as silent, _nameless_file() as whole:
        clip, files = silent, (silent.fileno(), whole.fileno())
        encoder = Encoder(_path_of(silent), FPS, SIZE, TAGS, files)
        try:
            for _ in range(NUM_FRAMES):
                encoder.write(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
            encoder.close(SECONDS)
        finally:
            encoder.kill()
        if with_sound:
            clip, samples = whole, np.zeros((SAMPLE_RATE * NUM_FRAMES // int(FPS), 1), np.float32)
            add_sound(_path_of(silent), Sound(samples, SAMPLE_RATE), TAGS, _path_of(whole), files, SECONDS)
        path = _path_of(clip)
        info = probe(path, files, SECONDS)
        if (info.width, info.height, info.num_frames, info.fps) != (*SIZE, NUM_FRAMES, FPS):
            reason = f"{info.num_frames} frames of {info.width} x {info.height} at {info.fps:g} came out"
            raise EncodeError("encode.broken", path=str(path), reason=reason)
        if with_sound and info.sound is None:
            raise EncodeError("encode.broken", path=str(path), reason="the sound is not in the file")
        if not TAGS.items() <= read_tags(path, SECONDS, files).items():
            raise EncodeError("encode.broken", path=str(path), reason="the metadata is not in the file")


def _nameless_file() -> IO[bytes]:
    return open(os.memfd_create("clip"), "rb")  # noqa: PTH123 - there is no path


def _path_of(file: IO[bytes]) -> Path:
    return Path(f"/dev/fd/{file.fileno()}")


def _unfit(path: str, reason: str) -> EncodeError:
    """Return the error that says what `path` lacks, `reason` being its own words."""
    version = read_version(path, SECONDS)
    numbers = re.match(r"n?(\d+)\.(\d+)", version)  # builds of a single commit have other names
    if "libx264" in reason:
        return EncodeError("encode.no_libx264", path=path, version=version)
    if re.search(r"encoder '?aac\b", reason):
        return EncodeError("encode.no_aac", path=path, version=version)
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST:
        return EncodeError("encode.old_ffmpeg", path=path, version=version, oldest=OLDEST_TEXT)
    return EncodeError("encode.unfit_ffmpeg", path=path, version=version, reason=reason)
