"""A video as a moving picture, for where no video can be put: GIF, or animated WebP. It has no sound.

Scaled down and with fewer frames a second, since these files are many times as large as the video.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from i2v.core.errors import EncodeError
from i2v.media.video.program import Limits, broken, run_ffmpeg

AnimationFormat = Literal["gif", "webp"]

MAX_FRAMES = 300  # of the video: ffmpeg keeps all of them in memory while it looks for a GIF's colours
SIDE = 480  # pixels of the longer side, at most
FPS = 15  # at most
LIMITS = Limits(memory=2**30, seconds=120)

# A GIF has 256 colours, which are chosen from all frames (https://ffmpeg.org/ffmpeg-filters.html#palettegen).
_PALETTE = "split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"
_ENDINGS: Mapping[AnimationFormat, tuple[str, tuple[str, ...]]] = {
    "gif": (f",{_PALETTE}", ("-f", "gif")),
    "webp": ("", ("-c:v", "libwebp_anim", "-q:v", "75", "-f", "webp")),
}


def read_animation(path: Path, kind: AnimationFormat) -> bytes:
    """Return the video as a moving picture that plays for ever.

    Raises `EncodeError` (`encode.broken`) where that fails or takes too much, `encode.no_ffmpeg`.
    """
    filters, encoding = _ENDINGS[kind]
    scale = f"scale=w='min({SIDE},iw)':h='min({SIDE},ih)':force_original_aspect_ratio=decrease:flags=lanczos"
    command = ["-v", "level+error", "-threads", "2", "-protocol_whitelist", "file", "-i", f"file:{path}"]
    command += ["-filter_complex", f"[0:v:0]fps='min({FPS},source_fps)',{scale}{filters}"]
    command += ["-map_metadata", "-1", "-loop", "0", *encoding, "-"]
    try:
        done = run_ffmpeg(*command, timeout=2.0 * LIMITS.seconds, limits=LIMITS)
    except subprocess.TimeoutExpired as error:
        raise EncodeError("encode.broken", path=str(path), reason="it takes too long") from error
    if done.returncode != 0 or not done.stdout:
        raise broken(path, done)
    return done.stdout
