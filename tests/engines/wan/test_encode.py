"""i2v.engines.wan.encode: diffusers' latents without the clip in memory, and tiles that come near."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from i2v.engines.wan.encode import encode_groups, encode_in_tiles, encode_video
from tests.peak_memory import PeakMemory
from tests.tiny_wan import tiny_vae, tiny_vae_21


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    torch.manual_seed(3)
    return tiny_vae_21().eval()


def pictures(height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 1, 3, 1, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def as_stock(
    vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int
) -> torch.Tensor:
    clip = first.new_zeros(*first.shape[:2], 1 + 4 * groups, *first.shape[3:])
    clip[:, :, :1] = first
    if last is not None:
        clip[:, :, -1:] = last
    latents: torch.Tensor = vae.encode(clip).latent_dist.mode()
    return latents


@torch.inference_mode()
def test_the_latents_are_diffusers_own(vae: AutoencoderKLWan) -> None:
    first, last = pictures(32, 48)
    for end in (None, last):
        assert torch.equal(encode_groups(vae, first, end, 2), as_stock(vae, first, end, 2))


@torch.inference_mode()
@pytest.mark.parametrize("make", [tiny_vae, tiny_vae_21])
def test_a_video_is_encoded_as_diffusers_does_and_in_tiles_nearly_so(
    make: Callable[[], AutoencoderKLWan],
) -> None:
    torch.manual_seed(3)
    vae = make().eval()
    video = np.random.default_rng(1).integers(0, 256, (9, 32, 288, 3), np.uint8)
    pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None] / 127.5 - 1
    expected = vae.encode(pixels).latent_dist.mode()
    torch.testing.assert_close(encode_video(vae, video), expected, rtol=1e-5, atol=1e-5)
    tiled = encode_video(vae, video, tiling=True)
    assert tiled.shape == expected.shape
    assert 0 < (tiled - expected).abs().mean() < 0.5 * expected.abs().mean()


@torch.inference_mode()
def test_a_longer_clip_takes_hardly_more_memory(vae: AutoencoderKLWan) -> None:
    def most(groups: int) -> int:
        with PeakMemory() as memory:
            encode_groups(vae, *pictures(16, 16), groups)
        return memory.most

    assert most(6) <= 1.02 * most(3)


@torch.inference_mode()
def test_tiles_come_as_near_as_diffusers_own(vae: AutoencoderKLWan) -> None:
    first, last = pictures(16, 448)  # two tiles
    exact, ours = (encode(vae, first, last, 1) for encode in (encode_groups, encode_in_tiles))
    vae.enable_tiling()
    try:
        theirs = as_stock(vae, first, last, 1)
    finally:
        vae.disable_tiling()
    assert ours.shape == exact.shape
    assert (ours - exact).abs().mean() <= 1.05 * (theirs - exact).abs().mean()
    small = pictures(16, 64)
    assert torch.allclose(encode_in_tiles(vae, *small, 1), encode_groups(vae, *small, 1), atol=1e-6)
