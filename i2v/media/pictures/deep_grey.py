"""Grey pictures of more than 8 bits a pixel: 16-bit and 32-bit integers, floats.

It does not know colours, files or profiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def split_deep_grey(source: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a picture of mode I or F in 8 bits (L), and its alpha (L) where one grey is transparent."""
    values = np.asarray(source)
    grey_8 = Image.fromarray(_to_8_bit(values, is_16_bit=source.mode.startswith("I;16")))
    if (key := source.info.get("transparency")) is None:
        return grey_8, None
    return grey_8, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))


def _to_8_bit(values: NDArray[Any], is_16_bit: bool) -> NDArray[np.uint8]:
    """Scale grey values (H, W) to 0..255 instead of clipping them, as Pillow would.

    32-bit integers and floats do not say what their white is: the smallest usual one (1, 255, 65535) that
    holds all values is taken, and failing that, or below zero, the range that is there is stretched.
    """
    if is_16_bit:
        scaled: NDArray[np.uint8] = np.rint(np.arange(65536) / 257).astype(np.uint8)[values]
        return scaled
    numbers: NDArray[np.floating[Any]] = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    black, white = float(numbers.min()), float(numbers.max())
    if black >= 0 and white <= 65535:
        whites = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        black, white = 0.0, next(usual for usual in whites if white <= usual)
    else:
        numbers, black, white = numbers / 2, black / 2, white / 2  # halved: the difference stays finite
    share = (numbers - np.float32(black)) / np.float32((white - black) or 1.0)
    scaled = np.rint(share * 255).clip(0, 255).astype(np.uint8)
    return scaled
