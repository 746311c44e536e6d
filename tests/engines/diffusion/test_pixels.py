"""Pixels become frames as diffusers rounds them, and a VAE has its own dtype again whatever happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from i2v.core.errors import I2VError
from i2v.engines.diffusion.pixels import decode_in_float32, pixels_of, to_uint8


def test_pixels_are_rounded_and_clamped() -> None:
    pixels = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(pixels)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_it_is_decoded_in_float32_and_numbers_that_are_none_are_an_error() -> None:
    vae = nn.Linear(2, 2).to(torch.float16)
    seen: list[torch.dtype] = []

    def decode(value: float) -> torch.Tensor:
        seen.append(vae.weight.dtype)
        return torch.full((1, 3, 2, 2), value)

    assert decode_in_float32(vae, lambda: decode(0.5)).mean() == 0.5
    with pytest.raises(I2VError) as caught:
        decode_in_float32(vae, lambda: decode(float("nan")))
    assert caught.value.code == "decode.nan_float32"
    assert (seen, vae.weight.dtype) == ([torch.float32] * 2, torch.float16)


def test_a_picture_becomes_what_a_vae_encodes(photo: Image.Image) -> None:
    pixels = pixels_of(photo)
    assert pixels.shape == (1, 3, 64, 96)
    assert np.array_equal(to_uint8(pixels)[0], np.asarray(photo))
