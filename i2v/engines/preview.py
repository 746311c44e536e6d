"""What latents look like, by a linear map: a small picture of each, good enough to stop a clip early.

Shared by families that have latents; knows neither torch nor any model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def preview_of(
    latents: NDArray[np.float32], factors: tuple[tuple[float, float, float], ...]
) -> NDArray[np.uint8]:
    """Map (C, F, h, w) latents to (F, h, w, 3) RGB by `EngineSpec.preview_factors`, of C + 1 rows."""
    table = np.asarray(factors, np.float32)
    colours = np.moveaxis(latents, 0, -1) @ table[:-1] + table[-1]
    pixels: NDArray[np.uint8] = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    return pixels
