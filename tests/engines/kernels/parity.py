"""Every kernel against the plain operation, both against float64: on a card, or on Triton's interpreter.

    TRITON_INTERPRET=1 python -m tests.engines.kernels.parity     # prints each case's errors, as JSON

Triton reads that variable when kernels are defined, so the interpreter gets a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import nn

from i2v.engines.kernels.fused import Fused, load
from i2v.engines.kernels.plain import PLAIN, Operations

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
TOLERANCE = {torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
MULTIPROCESSORS = 4

Tensors = tuple[torch.Tensor, ...]
# Makes inputs of a type, and computes with them: in-place operations get their own.
Make = Callable[[torch.dtype, torch.device], tuple[Tensors, nn.Module | None]]
Work = Callable[[Operations, Tensors, nn.Module | None], torch.Tensor]


@dataclass(frozen=True)
class Case:
    name: str
    make: Make
    work: Work
    digits: float = 1  # how many times as far off float32 may be, where its digits go into a mean
    by_interpreter: tuple[torch.dtype, ...] = DTYPES


@dataclass(frozen=True)
class Errors:
    """Relative to the result in float64: of the kernel, of the plain operation."""

    kernel: float
    plain: float


def tolerance(case: Case, dtype: torch.dtype) -> float:
    return TOLERANCE[dtype] * (case.digits if dtype == torch.float32 else 1)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape)


def picture(samples: int, channels: int, height: int, width: int) -> torch.Tensor:
    return random(samples, channels, height, width).contiguous(memory_format=torch.channels_last)


def clip(rows: int, channels: int, num_frames: int, pixels: int) -> torch.Tensor:
    """Return (B, C, F, h*w), tokens in memory: what convolutions along time get."""
    return random(rows, num_frames, pixels, channels).permute(0, 3, 1, 2)


def group_norm(
    name: str, source: torch.Tensor, groups: int, *, bias: bool, silu: bool, mean: float = 0, scale: float = 1
) -> Case:
    channels = source.shape[1]

    def make(dtype: torch.dtype, device: torch.device) -> tuple[Tensors, nn.Module]:
        norm = nn.GroupNorm(groups, channels)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        states = (source * scale + mean).to(device, dtype)
        return (states, *([random(channels).to(device, dtype)] if bias else [])), norm.to(device, dtype)

    def work(operations: Operations, given: Tensors, norm: nn.Module | None) -> torch.Tensor:
        return operations.group_norm(norm, given[0], given[1] if bias else None, silu)

    return Case(f"group norm, {name}", make, work, digits=max(1.0, abs(mean) / 30))


def add(source: torch.Tensor) -> Case:
    def make(dtype: torch.dtype, device: torch.device) -> tuple[Tensors, None]:
        bias = random(source.shape[1])
        return tuple(each.to(device, dtype) for each in (source, source.flip(0), bias)), None

    return Case("add", make, lambda operations, given, _: operations.add(given[0].clone(), *given[1:]))


def add_layer_norm(name: str, rows: int, others: int, channels: int, mean: float = 0) -> Case:
    def make(dtype: torch.dtype, device: torch.device) -> tuple[Tensors, nn.Module]:
        norm = nn.LayerNorm(channels)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        states = (random(rows, 3, 5, channels) + mean, random(others, 3, 5, channels))
        return tuple(each.to(device, dtype) for each in states), norm.to(device, dtype)

    def work(operations: Operations, given: Tensors, norm: nn.Module | None) -> torch.Tensor:
        return torch.cat(operations.add_layer_norm(given[0].clone(), given[1], norm))

    return Case(f"add, layer norm, {name}", make, work)


def gated(tokens: int, channels: int, inner: int, scale: float = 1) -> Case:
    def make(dtype: torch.dtype, device: torch.device) -> tuple[Tensors, nn.Module]:
        widen = nn.Linear(channels, 2 * inner)
        return ((random(tokens, channels) * scale).to(device, dtype),), widen.to(device, dtype)

    return Case(
        f"GEGLU, {tokens} x {inner}, times {scale}",
        make,
        lambda operations, given, widen: operations.gated(widen, given[0]),
    )


def attention(rows: int, num_frames: int, pixels: int, heads: int, head_dim: int) -> Case:
    def make(dtype: torch.dtype, device: torch.device) -> tuple[Tensors, None]:
        joint = random(rows, num_frames, pixels, 3 * heads * head_dim) * 2
        return joint.to(device, dtype).chunk(3, dim=-1), None

    return Case(
        f"attention, {num_frames} frames, {heads} heads of {head_dim}",
        make,
        lambda operations, given, _: operations.attend_over_time(*given, heads),
        by_interpreter=DTYPES[:2],  # it multiplies bfloat16's bits as if they were whole numbers
    )


def cases() -> dict[str, Case]:
    torch.manual_seed(0)
    return {
        case.name: case
        for case in (
            group_norm("frames", picture(2, 96, 9, 7), 32, bias=True, silu=True),
            group_norm("far from zero", picture(1, 320, 5, 13), 32, bias=False, silu=True, mean=300),
            group_norm("large", picture(2, 64, 6, 6), 8, bias=False, silu=False, scale=1e4),
            group_norm("tiny", picture(2, 64, 6, 6), 8, bias=False, silu=True, scale=1e-3),
            group_norm("one pixel", picture(3, 6, 1, 1), 3, bias=True, silu=False),
            group_norm("odd groups, many rows", picture(2, 70, 40, 33), 7, bias=True, silu=True),
            group_norm("over time", clip(2, 72, 5, 14), 4, bias=True, silu=True),
            group_norm("over time, one row", clip(1, 160, 3, 100), 32, bias=False, silu=False, mean=-20),
            add(picture(3, 200, 5, 7)),
            add_layer_norm("one row each", 1, 1, 320),
            add_layer_norm("two rows and one", 2, 1, 70, mean=40),
            gated(37, 12, 36),
            gated(5, 8, 300, scale=20),
            attention(2, 16, 5, 3, 64),
            attention(1, 5, 7, 2, 20),
            attention(2, 24, 3, 1, 8),
            attention(1, 1, 3, 2, 16),
        )
    }


@torch.inference_mode()
def measure(case: Case, dtype: torch.dtype, device: torch.device) -> Errors:
    fused = Fused(load(), MULTIPROCESSORS)
    given, module = case.make(dtype, device)
    with unwritten_is_nan():
        made = case.work(fused, given, module)
    plain = case.work(PLAIN, given, module)
    assert fused.failure is None, fused.failure.message
    assert made.dtype == dtype
    exact = case.work(PLAIN, tuple(each.double() for each in given), module and module.double())
    return Errors(*(relative(each, exact) for each in (made, plain)))


def relative(made: torch.Tensor, exact: torch.Tensor) -> float:
    assert made.shape == exact.shape
    error = float((made.double() - exact).norm() / exact.norm())
    return error if np.isfinite(error) else float("inf")


@contextmanager
def unwritten_is_nan() -> Iterator[None]:
    """Fill what is allocated with NaN, so that a number that no kernel wrote is seen."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def main() -> None:
    found = {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for (name, case), dtype in product(cases().items(), DTYPES):
            if dtype in case.by_interpreter:
                found[f"{name}, {dtype}"] = vars(measure(case, dtype, torch.device("cpu")))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
