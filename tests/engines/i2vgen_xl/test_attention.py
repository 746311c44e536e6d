"""Transformers against diffusers', whole and a part at a time."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import FeedForward
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from i2v.engines.i2vgen_xl import attention
from i2v.engines.i2vgen_xl.attention import (
    feed_forward,
    key_value,
    spatial_transformer,
    temporal_transformer,
)
from i2v.engines.kernels import plain
from i2v.engines.kernels.plain import attend
from tests.shaken import shaken

FRAMES, SIDES, CHANNELS, CONTEXT = 3, (4, 6), 16, 12


@pytest.fixture(scope="module")
def spatial() -> Transformer2DModel:
    module = Transformer2DModel(
        4, 4, CHANNELS, cross_attention_dim=CONTEXT, norm_num_groups=4, use_linear_projection=True
    )
    return shaken(module)


@pytest.fixture(scope="module")
def temporal() -> TransformerTemporalModel:
    return shaken(TransformerTemporalModel(4, 4, CHANNELS, norm_num_groups=4))


def pictures(rows: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows * FRAMES, CHANNELS, *SIDES, generator=torch.Generator().manual_seed(seed))


# all at once, one sequence at a time, uneven last parts, within one sequence
CHUNKS = [0, 1, 7, 50, 10**6]


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
@pytest.mark.parametrize("rows", [1, 2])
def test_spatial_transformers_are_diffusers(
    spatial: Transformer2DModel, rows: int, chunk_tokens: int
) -> None:
    hidden, context = pictures(rows), torch.randn(rows, 5, CONTEXT)
    repeated = context.repeat_interleave(FRAMES, dim=0)
    expected = spatial(hidden, encoder_hidden_states=repeated, return_dict=False)[0]
    cached = key_value(spatial.transformer_blocks[0].attn2, context)
    got = spatial_transformer(spatial, hidden, cached, FRAMES, chunk_tokens)
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
def test_one_row_becomes_as_many_as_the_context_has(spatial: Transformer2DModel, chunk_tokens: int) -> None:
    hidden, context = pictures(1), torch.randn(2, 5, CONTEXT)
    cached = key_value(spatial.transformer_blocks[0].attn2, context)
    got = spatial_transformer(spatial, hidden, cached, FRAMES, chunk_tokens)
    expected = spatial_transformer(spatial, hidden.repeat(2, 1, 1, 1), cached, FRAMES, 0)
    assert torch.allclose(got, expected, atol=1e-5)
    assert not torch.allclose(got[:FRAMES], got[FRAMES:], atol=1e-2)


@pytest.mark.parametrize("chunk_tokens", CHUNKS)
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("brief", [0, attention.BRIEF])
def test_temporal_transformers_are_diffusers(
    temporal: TransformerTemporalModel,
    rows: int,
    chunk_tokens: int,
    brief: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a kernel for attention, and by hand."""
    monkeypatch.setattr(attention, "BRIEF", brief)
    hidden = pictures(rows)
    expected = temporal(hidden, num_frames=FRAMES, return_dict=False)[0]
    assert torch.allclose(temporal_transformer(temporal, hidden, FRAMES, chunk_tokens), expected, atol=1e-5)


@pytest.mark.parametrize(("num_frames", "kernels"), [(32, 0), (33, 2)])
def test_only_few_frames_with_small_heads_are_attended_to_by_hand(
    temporal: TransformerTemporalModel, num_frames: int, kernels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads have 4 channels: 32 frames are `BRIEF`."""
    calls = []

    def counted(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        calls.append(query.shape)
        return attend(query, key, value)

    monkeypatch.setattr(plain, "attend", counted)
    temporal_transformer(temporal, torch.randn(num_frames, CHANNELS, 1, 2), num_frames, 0)
    assert len(calls) == kernels


def test_the_input_is_left_as_it_was(spatial: Transformer2DModel, temporal: TransformerTemporalModel) -> None:
    """It is joined on the way up: nothing may be added to it in place."""
    hidden = pictures(2).contiguous(memory_format=torch.channels_last)
    before = hidden.clone()
    context = key_value(spatial.transformer_blocks[0].attn2, torch.randn(2, 5, CONTEXT))
    spatial_transformer(spatial, hidden, context, FRAMES, 0)
    temporal_transformer(temporal, hidden, FRAMES, 0)
    assert torch.equal(hidden, before)


@pytest.mark.parametrize("chunk_tokens", [0, 1, 4, 5, 99])
def test_feed_forward_in_chunks_is_the_whole(chunk_tokens: int) -> None:
    module, states = shaken(FeedForward(8)), torch.randn(2, 3, 2, 8)
    assert torch.allclose(feed_forward(module, states, chunk_tokens), module(states), atol=1e-6)


def test_chunks_bound_what_a_transformer_sees_at_once(temporal: TransformerTemporalModel) -> None:
    seen: list[int] = []
    with temporal.proj_in.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][..., 0].numel())):
        temporal_transformer(temporal, pictures(2), FRAMES, chunk_tokens=12)
    assert seen == [2 * 2 * FRAMES] * 12, "two rows of two pixels' histories, of 24"
