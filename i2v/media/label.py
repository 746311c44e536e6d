"""Marks of generated content, as China's GB 45438-2025 asks: one in the file's metadata, one to be seen.

The metadata label is a JSON text under the key `AIGC`. The key, and the names and order of the fields, are
those of the standard and of TC260's practice guide for video files (August 2025), which writes them into MP4
with ffmpeg's `use_metadata_tags`. The visible label is text of at least 5 % of the picture's shorter side,
shown for at least the first two seconds. Which videos are marked is the caller's business.
"""

from __future__ import annotations

import io
import json
import math
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from i2v.core.schema import Language

AIGC = "AIGC"  # the metadata key
GENERATED = "1"  # "is generated"; 2 and 3 stand for "possibly" and "suspected"
SECONDS = 2.0
SHARE = 0.05  # of the shorter side, the least height of the letters
MIN_HEIGHT = 9  # pixels; smaller letters cannot be read

TEXTS: dict[Language, str] = {"en": "AI-generated", "zh-CN": "人工智能生成"}


def aigc_tag(producer: str, produce_id: str) -> str:
    """Return the value of the `AIGC` key: one line of JSON.

    The propagator's fields and the two reserved for signatures stay empty: they are for those who pass the
    file on, and for services with a signing scheme.
    """
    fields = {
        "Label": GENERATED,
        "ContentProducer": producer,
        "ProduceID": produce_id,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    return json.dumps(fields, ensure_ascii=False)


class VisibleLabel:
    """Stamps the first seconds of a clip, frames given in order."""

    def __init__(self, size: tuple[int, int], fps: float, language: Language) -> None:
        """`size` is the frames' (width, height) in pixels."""
        self._left = math.ceil(SECONDS * fps)
        self._stamp = _stamp(TEXTS[language], size)

    def draw(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (n, height, width, 3) frames, those of the first two seconds with the label."""
        count = min(self._left, len(frames))
        self._left -= count
        if count == 0:
            return frames
        stamped = frames.copy()
        height, width, _ = self._stamp.shape
        corner = stamped[:count, -height:, -width:]
        alpha = self._stamp[..., 3:] / 255.0
        corner[:] = np.rint(corner * (1 - alpha) + self._stamp[..., :3] * alpha)
        return stamped


def _stamp(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (h, w, 4) RGBA: white letters on a dark plate, for the lower right corner."""
    wanted = max(MIN_HEIGHT, math.ceil(SHARE * min(size)) + 1)  # one more: the outermost rows are faint
    font = _font(text, wanted)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, wanted // 3)
    plate = (math.ceil(right - left) + 2 * pad, math.ceil(bottom - top) + 2 * pad)
    image = Image.new("RGBA", plate, (0, 0, 0, 150))
    ImageDraw.Draw(image).text((pad - left, pad - top), text, font=font, fill=(255, 255, 255, 255))
    if plate[0] > size[0]:  # a very narrow video: whole and small is better than cut off
        image = image.resize((size[0], max(1, plate[1] * size[0] // plate[0])), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _font(text: str, wanted: int) -> ImageFont.FreeTypeFont:
    """Return the smallest size whose capitals (and Chinese characters) are `wanted` pixels high."""
    path = files("i2v").joinpath("fonts/label.otf")
    tall = text[:2]  # "AI", or two whole characters
    for points in range(wanted, 4 * wanted):
        font = ImageFont.truetype(io.BytesIO(path.read_bytes()), points)
        _, top, _, bottom = font.getbbox(tall)
        if bottom - top >= wanted:
            return font
    raise ValueError(f"no size of the label's font gives letters of {wanted} pixels")
