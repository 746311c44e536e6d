"""Embeddings against diffusers', over the same weights."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import TimestepEmbedding as StockTimestepEmbedding
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.unets.unet_i2vgen_xl import I2VGenXLTransformerTemporalEncoder

from i2v.engines.i2vgen_xl.embeddings import TemporalEncoder, TimestepEmbedding, sinusoids
from tests.engines.i2vgen_xl.test_unet import noise
from tests.shaken import shaken


def test_sinusoids_are_diffusers() -> None:
    positions = torch.tensor([0, 1, 481, 999])
    expected = get_timestep_embedding(positions, 32, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.equal(sinusoids(positions, 32), expected)


def test_timestep_embeddings_are_diffusers() -> None:
    stock, ours = shaken(StockTimestepEmbedding(6, 10)), TimestepEmbedding(6, 10)
    ours.load_state_dict(stock.state_dict())
    assert torch.equal(ours(noise(2, 6)), stock(noise(2, 6)))


def test_the_first_frames_features_are_mixed_as_by_diffusers() -> None:
    stock = shaken(I2VGenXLTransformerTemporalEncoder(4, 2, 4, activation_fn="gelu", ff_inner_dim=16))
    ours = TemporalEncoder(4)
    ours.load_state_dict(stock.state_dict())
    assert torch.allclose(ours(noise(20, 5, 4)), stock(noise(20, 5, 4)), atol=1e-6)
