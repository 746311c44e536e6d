"""Attention: all of a clip's tokens, whatever kernel computes it, and by one matrix or three."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention as Stock
from torch.nn import functional

from i2v.engines.i2vgen_xl import attention
from i2v.engines.i2vgen_xl.attention import CrossAttention, SelfAttention, TemporalAttention
from i2v.engines.kernels import plain
from i2v.engines.kernels.plain import attend
from tests.shaken import shaken

CHANNELS, HEADS, HEAD_DIM, CONTEXT = 10, 2, 4, 6
STATES = torch.randn(2, 3, 5, CHANNELS, generator=torch.Generator().manual_seed(1))  # B, F, P, C


def stock(context: int | None = None) -> Stock:
    return shaken(Stock(CHANNELS, context, heads=HEADS, dim_head=HEAD_DIM))


@pytest.mark.parametrize("is_joint", [False, True])
def test_self_attention_is_diffusers(is_joint: bool) -> None:
    ours, reference = SelfAttention(CHANNELS, HEADS, HEAD_DIM), stock()
    ours.load_state_dict(reference.state_dict())
    if is_joint:
        ours.join_projections()
        assert ours.state_dict().keys() == {"to_qkv", "to_out.0.weight", "to_out.0.bias"}
    assert torch.allclose(ours(STATES).flatten(0, 1), reference(STATES.flatten(0, 1)), atol=1e-5)


@pytest.mark.parametrize("brief", [0, attention.BRIEF], ids=["by a kernel", "by hand"])
@pytest.mark.parametrize("is_joint", [False, True])
def test_attention_along_time_is_diffusers(
    monkeypatch: pytest.MonkeyPatch, brief: int, is_joint: bool
) -> None:
    monkeypatch.setattr(attention, "BRIEF", brief)
    ours, reference = TemporalAttention(CHANNELS, HEADS, HEAD_DIM), stock()
    ours.load_state_dict(reference.state_dict())
    if is_joint:
        ours.join_projections()
    histories = STATES.transpose(1, 2)
    expected = reference(histories.flatten(0, 1)).view(histories.shape).transpose(1, 2)
    assert torch.allclose(ours(STATES), expected, atol=1e-5)


@pytest.mark.parametrize(("num_frames", "kernels"), [(32, 0), (33, 1)])
def test_only_few_frames_with_small_heads_are_attended_to_by_hand(
    num_frames: int, kernels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads have 4 channels: 32 frames are `BRIEF`."""
    calls = []

    def counted(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        calls.append(query.shape)
        return attend(query, key, value)

    monkeypatch.setattr(plain, "attend", counted)
    TemporalAttention(CHANNELS, HEADS, HEAD_DIM)(torch.randn(1, num_frames, 2, CHANNELS))
    assert len(calls) == kernels


@pytest.mark.parametrize("rows", [1, 2])
def test_cross_attention_is_diffusers_and_one_row_asks_for_all(rows: int) -> None:
    ours, reference = CrossAttention(CHANNELS, HEADS, HEAD_DIM, CONTEXT), stock(CONTEXT)
    ours.load_state_dict(reference.state_dict())
    context = torch.randn(2, 7, CONTEXT)
    asking = STATES[:rows].expand(2, -1, -1, -1)
    expected = reference(asking.flatten(1, 2), encoder_hidden_states=context).view(STATES.shape)
    assert torch.allclose(ours(STATES[:rows], ours.encode(context)), expected, atol=1e-5)


def test_more_sequences_than_a_kernel_takes_go_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plain, "MAX_ATTENTION_BATCH", 4)
    sizes = []
    kernel = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        plain.F, "scaled_dot_product_attention", lambda *given: sizes.append(len(given[0])) or kernel(*given)
    )
    module = shaken(SelfAttention(CHANNELS, HEADS, HEAD_DIM))
    made = module(STATES)
    assert sizes == [4, 2]
    monkeypatch.undo()
    assert torch.allclose(made, module(STATES), atol=1e-6)
