"""Decoding a whole clip in little memory against diffusers' decoder, which holds all of it at once."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder

from i2v.engines.svd.engine import SVDEngine
from i2v.engines.svd.temporal_decoder import decode_clip
from tests.peak_memory import PeakMemory


@pytest.mark.parametrize("shape", [(5, 4, 8, 12), (1, 4, 8, 8), (9, 4, 4, 6)], ids=str)
def test_it_computes_what_diffusers_decoder_computes(
    engine: SVDEngine, shape: tuple[int, int, int, int]
) -> None:
    vae: AutoencoderKLTemporalDecoder = engine.components.vae
    latents = 5 * torch.randn(shape, generator=torch.Generator().manual_seed(3))
    before = latents.clone()
    expected = vae.decode(latents, num_frames=len(latents)).sample
    decoded = decode_clip(vae.decoder, latents)
    assert torch.equal(latents, before), "what was given is left alone"
    assert decoded.shape == expected.shape
    assert expected.std() > 0.05
    assert (decoded - expected).abs().max() <= 1e-4


def test_frames_of_a_clip_know_of_one_another(engine: SVDEngine) -> None:
    """So that decoding in chunks is not the same, here as in diffusers."""
    decoder = engine.components.vae.decoder
    latents = torch.randn((4, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    apart = torch.cat([decode_clip(decoder, part) for part in latents.split(2)])
    assert (apart - decode_clip(decoder, latents)).abs().max() > 1e-2


@pytest.mark.slow
def test_it_holds_a_fraction_of_what_diffusers_holds(engine: SVDEngine) -> None:
    vae = engine.components.vae
    latents = torch.randn(12, 4, 16, 16)
    with torch.inference_mode(), PeakMemory() as theirs:
        vae.decode(latents, num_frames=len(latents))
    with PeakMemory() as ours:
        decode_clip(vae.decoder, latents)
    assert ours.most < 0.45 * theirs.most
