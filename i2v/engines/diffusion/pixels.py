"""What a VAE's decoder gives, as frames; and once more in float32 where half precision has failed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from i2v.core.errors import I2VError


def decode_in_float32(vae: nn.Module, decode: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return what `decode` gives with `vae` in float32; its dtype is restored whatever happens.

    Raises:
        I2VError: `decode.nan_float32`: even so, numbers are not finite.
    """
    dtype = next(vae.parameters()).dtype
    try:
        nn.Module.to(vae, torch.float32)  # diffusers' own `to` warns at any dtype
        pixels = decode()
    finally:
        nn.Module.to(vae, dtype)
    if not torch.isfinite(pixels).all():
        raise I2VError("decode.nan_float32")
    return pixels


def to_uint8(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """(n, 3, H, W) in [-1, 1] -> (n, H, W, 3) uint8, rounded as diffusers rounds."""
    scaled = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    rounded: NDArray[np.uint8] = (scaled * 255).round().astype(np.uint8)
    return rounded


def pixels_of(image: Image.Image) -> torch.Tensor:
    """Return an RGB picture as (1, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
