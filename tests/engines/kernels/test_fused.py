"""When a kernel runs, when the plain operation does, and what a failure leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from torch import nn

from i2v.engines.kernels.fused import Fused, Kernels
from i2v.engines.kernels.plain import PLAIN

ALL = ("group_norm", "add", "add_layer_norm", "gate", "attend_over_time")


class CompilationError(Exception):
    """Stands for Triton's."""


def kernels(work: Callable[..., Any]) -> Kernels:
    return Kernels(**dict.fromkeys(ALL, work), errors=(CompilationError, RuntimeError))


def failing(error: Exception) -> tuple[Fused, list[int]]:
    tries: list[int] = []

    def fail(*_: object) -> NoReturn:
        tries.append(1)
        raise error

    return Fused(kernels(fail), 1), tries


def picture() -> torch.Tensor:
    return torch.randn(2, 8, 3, 5).contiguous(memory_format=torch.channels_last)


def test_a_kernel_that_fails_is_said_once_and_all_goes_on_plainly() -> None:
    fused, tries = failing(CompilationError("no code for this card\nand much more"))
    norm, widen, states = nn.GroupNorm(2, 8), nn.Linear(8, 32), picture()
    tokens = torch.randn(5, 8)
    assert torch.equal(fused.group_norm(norm, states, silu=True), PLAIN.group_norm(norm, states, silu=True))
    assert torch.equal(fused.gated(widen, tokens), PLAIN.gated(widen, tokens))
    assert tries == [1]
    assert fused.name == "torch"
    assert fused.failure is not None
    assert (fused.failure.code, fused.failure.params) == (
        "kernels.failed",
        {"reason": "no code for this card"},
    )


def test_the_bias_that_is_left_is_not_lost_where_a_kernel_fails() -> None:
    fused, _ = failing(CompilationError())
    conv, norm, states = nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), picture()
    made, left = fused.convolve(states, conv.weight, conv.bias, padding=1)
    assert left is conv.bias
    expected = norm(nn.functional.conv2d(states, conv.weight, conv.bias, padding=1))
    assert torch.allclose(fused.group_norm(norm, made, left), expected, atol=1e-5)
    summed = fused.add(made.clone(), states, left)
    assert torch.allclose(summed, made + conv.bias.view(1, 8, 1, 1) + states, atol=1e-6)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
    ids=str,
)
def test_what_the_device_lacks_is_no_failure_of_a_kernel(error: Exception) -> None:
    fused, _ = failing(error)
    with pytest.raises(type(error)) as raised:
        fused.group_norm(nn.GroupNorm(2, 8), picture())
    assert raised.value is error
    assert fused.name == "triton"
    assert fused.failure is None


def test_tensors_that_lie_otherwise_go_the_plain_way_without_a_word() -> None:
    fused, tries = failing(CompilationError())
    norm, states = nn.GroupNorm(2, 8), torch.randn(2, 8, 3, 5)
    assert torch.equal(fused.group_norm(norm, states), norm(states))
    assert torch.equal(fused.add(states.clone(), states, torch.ones(8)), states + 1 + states)
    layer = nn.LayerNorm(4)
    update = torch.randn(2, 4, 3).transpose(1, 2)
    assert torch.equal(fused.add_layer_norm(update.clone(), update, layer)[1], layer(update + update))
    frames = [torch.randn(1, 33, 2, 8) for _ in range(3)]
    assert torch.equal(fused.attend_over_time(*frames, 2), PLAIN.attend_over_time(*frames, 2))
    assert not tries
    assert fused.failure is None
