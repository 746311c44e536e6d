"""Kernels are held to torch's own operations on the very card, before a clip is made with them.

A kernel that fails says so, but one that a compiler or a card gets wrong would only be seen in the frames. So
each is run once on small random numbers when an engine is loaded; one that gives others is not used. What a
kernel computes is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from i2v.engines.kernels.choice import operations_for
from i2v.engines.kernels.fused import Fused, failed
from i2v.engines.kernels.plain import PLAIN, Operations, Plain

# Largest difference over the result's size, by norms: rounding in the order of sums stays far below.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
Module = TypeVar("Module", bound=nn.Module)

CHANNELS, GROUPS, HEADS, FRAMES, SIDE = 64, 8, 4, 8, 6


def checked_operations(device: torch.device, dtype: torch.dtype) -> Operations:
    """Return `operations_for` the device; where fused ones are wrong there, plain ones with a `failure`."""
    operations = operations_for(device, dtype)
    if isinstance(operations, Fused) and (wrong := differing(operations, device, dtype)) is not None:
        return Plain(failed(f"{wrong} differs from torch's result on this GPU"))
    return operations


@torch.inference_mode()
def differing(operations: Operations, device: torch.device, dtype: torch.dtype) -> str | None:
    """Return the name of the first operation with another result than torch's, `None` where all agree."""
    for name, ours, plain in _results(operations, device, dtype):
        difference = (ours - plain).float().norm() / plain.float().norm()
        if not difference <= TOLERANCE[dtype]:  # nor is NaN within it
            return name
    return None


def _results(
    operations: Operations, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yield (name, ours, plain) of each operation. Inputs are drawn twice, since some are used up."""
    for name in ("group_norm", "add", "add_layer_norm", "gated", "attend_over_time"):
        ours, plain = (_run(each, name, device, dtype) for each in (operations, PLAIN))
        yield name, ours, plain


def _run(operations: Operations, name: str, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    def picture() -> torch.Tensor:
        return drawn(2, CHANNELS, SIDE, SIDE).contiguous(memory_format=torch.channels_last)

    def with_weights(module: Module) -> Module:
        for parameter in module.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 8
        return module.to(device, dtype)

    if name == "group_norm":
        norm = with_weights(nn.GroupNorm(GROUPS, CHANNELS))
        return operations.group_norm(norm, picture() + 3, drawn(CHANNELS), silu=True)
    if name == "add":
        return operations.add(picture(), picture(), drawn(CHANNELS))
    if name == "add_layer_norm":
        update, residual = (drawn(2, FRAMES, SIDE, CHANNELS) for _ in range(2))
        return torch.cat(operations.add_layer_norm(update, residual, with_weights(nn.LayerNorm(CHANNELS))))
    if name == "gated":
        return operations.gated(with_weights(nn.Linear(CHANNELS, 2 * CHANNELS)), drawn(50, CHANNELS))
    query, key, value = (drawn(1, FRAMES, SIDE, CHANNELS) for _ in range(3))
    return operations.attend_over_time(query, key, value, HEADS)
