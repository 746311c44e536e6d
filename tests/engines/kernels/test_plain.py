"""The plain operations against torch's modules, and attention in batches that kernels take."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from i2v.engines.kernels import plain
from i2v.engines.kernels.plain import PLAIN, attend
from tests.shaken import shaken


def test_a_norm_takes_the_bias_that_a_convolution_left() -> None:
    norm, states, bias = shaken(nn.GroupNorm(2, 6)), torch.randn(2, 6, 3, 4), torch.randn(6)
    expected = F.silu(norm(states + bias.view(1, 6, 1, 1)))
    assert torch.allclose(PLAIN.group_norm(norm, states, bias, silu=True), expected)
    assert torch.equal(PLAIN.group_norm(norm, states), norm(states))


def test_a_convolution_leaves_no_bias() -> None:
    conv, states = nn.Conv2d(3, 5, 3, padding=1), torch.randn(2, 3, 4, 4)
    made, left = PLAIN.convolve(states, conv.weight, conv.bias, padding=1)
    assert torch.equal(made, conv(states))
    assert left is None


def test_sums_take_a_bias_and_the_place_of_the_update() -> None:
    update, residual, bias = torch.randn(2, 6, 3, 4), torch.randn(2, 6, 3, 4), torch.randn(6)
    expected = update + residual + bias.view(1, 6, 1, 1)
    made = PLAIN.add(update, residual, bias)
    assert torch.allclose(made, expected)
    assert made.data_ptr() == update.data_ptr()


def test_a_sum_of_one_row_and_two_is_normalised() -> None:
    norm, update, residual = shaken(nn.LayerNorm(6)), torch.randn(2, 3, 6), torch.randn(1, 3, 6)
    expected = update + residual
    total, normed = PLAIN.add_layer_norm(update, residual, norm)
    assert torch.equal(total, expected)
    assert torch.equal(normed, norm(expected))


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_no_kernel_gets_a_larger_batch_than_it_takes(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    query, key, value = (torch.randn(5, 2, length, 4) for length in (3, 6, 6))
    expected = F.scaled_dot_product_attention(query, key, value)
    kernel, batches = F.scaled_dot_product_attention, []

    def counted(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        batches.append(len(query))
        return kernel(query, key, value)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    monkeypatch.setattr(plain, "MAX_ATTENTION_BATCH", limit)
    assert torch.allclose(attend(query, key, value), expected)
    assert max(batches) <= limit
    assert sum(batches) == 5
