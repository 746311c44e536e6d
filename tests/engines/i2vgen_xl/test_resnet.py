"""Convolutions against diffusers', over the same weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.resnet import TemporalConvLayer as StockTemporalConvLayer

from i2v.engines.i2vgen_xl.resnet import ResnetBlock, TemporalConvLayer, convolve
from tests.engines.i2vgen_xl.test_unet import noise
from tests.shaken import shaken


@pytest.mark.parametrize("channels", [(8, 8), (8, 12)], ids=["same channels", "more channels"])
def test_resnets_are_diffusers(channels: tuple[int, int]) -> None:
    stock = shaken(
        ResnetBlock2D(in_channels=channels[0], out_channels=channels[1], temb_channels=6, groups=4, eps=1e-5)
    )
    ours = ResnetBlock(*channels, time_channels=6, groups=4)
    ours.load_state_dict(stock.state_dict())
    hidden, time = noise(5, 8, 6, 4), noise(1, 6)
    expected = stock(hidden, time.expand(5, -1))
    assert torch.allclose(ours(hidden, F.silu(time)), expected, atol=1e-5)


def test_a_vaes_resnets_are_not_told_of_time() -> None:
    stock = shaken(ResnetBlock2D(in_channels=8, out_channels=4, temb_channels=None, groups=4))
    hidden = noise(2, 8, 3, 5)
    assert torch.allclose(convolve(stock, hidden, None), stock(hidden, None), atol=1e-5)


@pytest.mark.parametrize(("rows", "frames"), [(1, 1), (1, 4), (2, 3)])
def test_convolutions_over_time_are_diffusers(rows: int, frames: int) -> None:
    stock, ours = shaken(StockTemporalConvLayer(8, norm_num_groups=4)), TemporalConvLayer(8, groups=4)
    ours.load_state_dict(stock.state_dict())
    hidden = noise(rows * frames, 8, 3, 5)
    assert torch.allclose(ours(hidden, frames), stock(hidden, num_frames=frames), atol=1e-5)
