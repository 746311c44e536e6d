"""i2v.engines.wan.decode: diffusers' frames one after the other, and tiles that come near."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray

from i2v.core.errors import I2VError
from i2v.engines.wan.decode import STRIDE, TILE, decode_frames, fades
from tests.peak_memory import PeakMemory
from tests.tiny_wan import tiny_vae


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    torch.manual_seed(3)
    return tiny_vae().eval()


def latents(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 48, frames, height, width, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def whole(vae: AutoencoderKLWan, given: torch.Tensor, tiled: bool = False) -> NDArray[np.uint8]:
    decode = vae.tiled_decode if tiled else vae.decode
    pixels = decode(given, return_dict=False)[0][0].permute(1, 2, 3, 0)
    return ((pixels / 2 + 0.5).numpy() * 255).round().astype(np.uint8)


def test_frames_come_as_they_are_decoded_and_are_diffusers(vae: AutoencoderKLWan) -> None:
    given = latents(3, 4, 6)
    parts = [part.frames for part in decode_frames(vae, given)]
    assert [len(part) for part in parts] == [1, 4, 4]
    assert np.array_equal(np.concatenate(parts), whole(vae, given))


def test_no_more_than_four_frames_are_held_in_pixels(vae: AutoencoderKLWan) -> None:
    def most(frames: int) -> int:
        given = latents(frames, 4, 6)
        with PeakMemory() as memory:
            for _ in decode_frames(vae, given):
                pass
        return memory.most

    assert most(9) - most(4) <= 5 * 4 * 4 * 64 * 96 * 3 / 50, "not what five times four frames take"


def test_large_frames_are_decoded_in_diffusers_tiles_that_say_so(vae: AutoencoderKLWan) -> None:
    given = latents(2, 2, 28)  # 32 x 448 pixels: two tiles
    parts = list(decode_frames(vae, given, tiling=True))
    assert [notice.code for part in parts for notice in part.notices] == ["decode.tiled"]
    frames = np.concatenate([part.frames for part in parts]).astype(int)
    expected, theirs = whole(vae, given).astype(int), whole(vae, given, tiled=True).astype(int)
    assert frames.shape == expected.shape == (5, 32, 448, 3)
    assert np.array_equal(frames[:, :, :STRIDE], theirs[:, :, :STRIDE]), "the first tile's own"
    # they fade half a pixel apart, and diffusers has one more tile at the end, of 64 pixels
    assert np.abs(frames - theirs)[:, :, : 2 * STRIDE].mean() < 0.5
    assert np.abs(frames - expected).mean() <= 1.02 * np.abs(theirs - expected).mean()
    small = latents(2, 2, 16)
    assert not [part.notices for part in decode_frames(vae, small, tiling=True) if part.notices]


@pytest.mark.parametrize("side", [32, TILE, TILE + 32, STRIDE + TILE, STRIDE + TILE + 32, 1280])
def test_the_weights_of_tiles_sum_to_one(side: int) -> None:
    total = torch.zeros(side)
    for start, weight in fades(side):
        assert len(weight) <= TILE
        total[start : start + len(weight)] += weight
    assert torch.allclose(total, torch.ones(side))
    assert (side <= TILE) == (len(fades(side)) == 1)


def test_nothing_is_kept_from_clip_to_clip(vae: AutoencoderKLWan) -> None:
    def first() -> Iterator[NDArray[np.uint8]]:
        return (part.frames for part in decode_frames(vae, latents(2, 2, 2)))

    halted = next(first())
    assert np.array_equal(next(first()), halted)


def test_numbers_that_are_not_finite_are_no_frames(vae: AutoencoderKLWan) -> None:
    with pytest.raises(I2VError) as caught:
        next(decode_frames(vae, latents(2, 2, 2) * torch.nan))
    assert caught.value.code == "decode.nan_float32"
