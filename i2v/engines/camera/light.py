"""sRGB to linear light and back, as tables: the exact transfer function of IEC 61966-2-1.

Linear light is kept as codes, 0 to 65535 with room below black and above white, because Lanczos overshoots.
A filter whose weights add up to 1 keeps the codes' offset and their unit, so nothing else has to know them.
Deliberately does not know pictures or filters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLACK = 10_000
_WHITE = 55_000  # 14 codes to the darkest step of 8-bit sRGB


def _to_linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(linear, 0, 1)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


# (256,): the code of each 8-bit sRGB value; (65536,): the nearest 8-bit sRGB value to each code.
CODES: NDArray[np.float32] = (_BLACK + (_WHITE - _BLACK) * _to_linear(np.arange(256) / 255)).astype(
    np.float32
)
VALUES: NDArray[np.uint8] = np.rint(255 * _to_srgb((np.arange(2**16) - _BLACK) / (_WHITE - _BLACK))).astype(
    np.uint8
)


def encode(codes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the 8-bit sRGB values of codes, to half a code; the codes are overwritten."""
    np.add(codes, 0.5, out=codes)
    np.clip(codes, 0, 2**16 - 1, out=codes)
    return np.take(VALUES, codes.astype(np.intp), mode="clip")
