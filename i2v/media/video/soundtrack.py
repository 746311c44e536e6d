"""A sound beside the frames of an MP4: encoded as AAC, the video's stream copied as it is.

Deliberately does not know how the frames were encoded, nor under which name the video will be published.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from i2v.media.sound import Sound
from i2v.media.video.failures import ended_with
from i2v.media.video.program import cannot_run, find_ffmpeg, run_ffmpeg
from i2v.media.video.tags import to_ffmetadata

CODEC, BIT_RATE = "aac", "192k"  # what every browser plays, at a rate where hardly anybody hears it


def add_sound(
    video: Path,
    sound: Sound,
    tags: Mapping[str, str],
    path: Path,
    files: Sequence[int] = (),
    seconds: float | None = None,
) -> None:
    """Write the MP4 `video` to `path` with `sound`, which has the video's length, and `tags`; index first.

    files: descriptors that ffmpeg gets; `video` and `path` may be among them, as in /dev/fd/3.
    seconds: how long it may take.

    Raises `EncodeError` (`encode.no_ffmpeg`, `encode.failed`, `encode.no_space`),
    `subprocess.TimeoutExpired`.
    """
    with ExitStack() as stack:
        try:
            samples, metadata = (stack.enter_context(memory_file()) for _ in range(2))
            samples.write(sound.samples.astype("<f4", copy=False).tobytes())
            metadata.write(to_ffmetadata(tags))
            samples.flush()
            metadata.flush()
        except OSError as error:
            raise cannot_run(find_ffmpeg(), error) from error
        done = run_ffmpeg(
            *("-y", "-v", "error", "-i", f"file:{video.absolute()}"),
            *("-f", "f32le", "-ar", str(sound.sample_rate), "-ac", str(sound.channels)),
            *("-i", f"/dev/fd/{samples.fileno()}"),
            *("-f", "ffmetadata", "-i", f"/dev/fd/{metadata.fileno()}"),
            *("-map", "0:v", "-map", "1:a", "-map_metadata", "2"),
            *("-c:v", "copy", "-c:a", CODEC, "-b:a", BIT_RATE),
            *("-movflags", "+faststart+use_metadata_tags", "-f", "mp4", f"file:{path.absolute()}"),
            files=(samples.fileno(), metadata.fileno(), *files),
            timeout=seconds,
        )
    failure = ended_with(path, done.returncode, done.stderr.decode(errors="replace"))
    if failure is not None:
        raise failure


def memory_file() -> IO[bytes]:
    return open(os.memfd_create("i2v"), "w+b")  # noqa: PTH123 - there is no path
