"""What a clip looks like while it is being made: a few kilobytes that a browser can show."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIME_TYPE = "image/webp"


def encode_preview(frames: NDArray[np.uint8], fps: float) -> bytes:
    """Return (F, h, w, 3) RGB `frames` as a WebP that moves at `fps` and repeats."""
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    duration = round(1000 / fps)
    first.save(
        buffer, "WEBP", save_all=True, append_images=others, duration=duration, loop=0, quality=70, method=0
    )
    return buffer.getvalue()
