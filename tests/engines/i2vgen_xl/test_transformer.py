"""Transformers against diffusers', whole and a part at a time."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import FeedForward as StockFeedForward
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from i2v.engines.i2vgen_xl.transformer import FeedForward, SpatialTransformer, TemporalTransformer
from tests.shaken import shaken

FRAMES, SIDES, CHANNELS, CONTEXT = 3, (4, 6), 16, 12


@pytest.fixture(scope="module")
def spatial() -> tuple[SpatialTransformer, Transformer2DModel]:
    """Ours and diffusers', of the same weights."""
    stock = Transformer2DModel(
        4, 4, CHANNELS, cross_attention_dim=CONTEXT, norm_num_groups=4, use_linear_projection=True
    )
    ours = SpatialTransformer(CHANNELS, heads=4, head_dim=4, context_channels=CONTEXT, groups=4)
    ours.load_state_dict(shaken(stock).state_dict())
    return ours.requires_grad_(False), stock


@pytest.fixture(scope="module", params=[4, 2], ids=["heads as wide", "heads half as wide"])
def temporal(request: pytest.FixtureRequest) -> tuple[TemporalTransformer, TransformerTemporalModel]:
    """Ours and diffusers', of the same weights."""
    stock = shaken(TransformerTemporalModel(4, request.param, CHANNELS, norm_num_groups=4))
    ours = TemporalTransformer(CHANNELS, heads=4, head_dim=request.param, groups=4)
    ours.load_state_dict(stock.state_dict())
    return ours.requires_grad_(False), stock


def pictures(rows: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows * FRAMES, CHANNELS, *SIDES, generator=torch.Generator().manual_seed(seed))


# all at once, one sequence at a time, uneven last parts, within one sequence
CHUNKS = [0, 1, 7, 50, 10**6]


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
@pytest.mark.parametrize("rows", [1, 2])
def test_spatial_transformers_are_diffusers(
    spatial: tuple[SpatialTransformer, Transformer2DModel], rows: int, chunk_tokens: int
) -> None:
    ours, stock = spatial
    hidden, context = pictures(rows), torch.randn(rows, 5, CONTEXT)
    repeated = context.repeat_interleave(FRAMES, dim=0)
    expected = stock(hidden, encoder_hidden_states=repeated, return_dict=False)[0]
    got = ours(hidden, ours.block.attn2.encode(context), FRAMES, chunk_tokens)
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
def test_one_row_becomes_as_many_as_the_context_has(
    spatial: tuple[SpatialTransformer, Transformer2DModel], chunk_tokens: int
) -> None:
    ours, _ = spatial
    hidden, cached = pictures(1), ours.block.attn2.encode(torch.randn(2, 5, CONTEXT))
    got = ours(hidden, cached, FRAMES, chunk_tokens)
    expected = ours(hidden.repeat(2, 1, 1, 1), cached, FRAMES, 0)
    assert torch.allclose(got, expected, atol=1e-5)
    assert not torch.allclose(got[:FRAMES], got[FRAMES:], atol=1e-2)


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
@pytest.mark.parametrize("rows", [1, 2])
def test_temporal_transformers_are_diffusers(
    temporal: tuple[TemporalTransformer, TransformerTemporalModel], rows: int, chunk_tokens: int
) -> None:
    ours, stock = temporal
    hidden = pictures(rows)
    expected = stock(hidden, num_frames=FRAMES, return_dict=False)[0]
    assert torch.allclose(ours(hidden, FRAMES, chunk_tokens), expected, atol=1e-5)


def test_the_input_is_left_as_it_was(
    spatial: tuple[SpatialTransformer, Transformer2DModel],
    temporal: tuple[TemporalTransformer, TransformerTemporalModel],
) -> None:
    """It is joined on the way up: nothing may be added to it in place."""
    hidden = pictures(2).contiguous(memory_format=torch.channels_last)
    before = hidden.clone()
    spatial[0](hidden, spatial[0].block.attn2.encode(torch.randn(2, 5, CONTEXT)), FRAMES)
    temporal[0](hidden, FRAMES)
    assert torch.equal(hidden, before)


@pytest.mark.parametrize("chunk_tokens", [0, 1, 4, 5, 99])
def test_feed_forward_in_chunks_is_the_whole(chunk_tokens: int) -> None:
    stock, ours, states = shaken(StockFeedForward(8)), FeedForward(8), torch.randn(2, 3, 2, 8)
    ours.load_state_dict(stock.state_dict())
    assert torch.allclose(ours(states, chunk_tokens), stock(states), atol=1e-6)


def test_chunks_bound_what_a_transformer_sees_at_once(
    temporal: tuple[TemporalTransformer, TransformerTemporalModel],
) -> None:
    ours, _ = temporal
    seen: list[int] = []
    with ours.proj_in.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][..., 0].numel())):
        ours(pictures(2), FRAMES, chunk_tokens=12)
    assert seen == [2 * 2 * FRAMES] * 12, "two rows of two pixels' histories, of 24"
