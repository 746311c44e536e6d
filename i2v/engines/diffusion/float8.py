"""Linear layers whose weights are kept as float8_e4m3fn, a byte a number, and cast when they compute.

Each row of a weight has a scale, by which its largest number is the largest that the type has (448). What a
number becomes is then within a sixteenth of it, or within 2^-10 of the scale where it is much smaller than
the row's largest: three bits of mantissa, and 2^-9 between the smallest steps. The layer computes in the type
of what it is given.

Which layers are kept so is the families' business.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

FLOAT8 = torch.float8_e4m3fn
LARGEST = 448.0


class Packed(NamedTuple):
    """A weight as it is kept: the bits of float8 as int8, (out, in), and the scale of each row, (out, 1)."""

    bits: torch.Tensor
    scale: torch.Tensor


class Float8Linear(nn.Linear):
    """`weight`: (out, in), the bits of float8 as int8; `scale`: (out, 1) float32.

    As int8 because transformers casts what a layer is given to the type of its weights, but for that one.
    """

    scale: nn.Parameter

    def take(self, packed: Packed) -> None:
        self.weight = nn.Parameter(packed.bits, requires_grad=False)
        self.scale = nn.Parameter(packed.scale, requires_grad=False)

    def plain(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the (out, in) weight in `dtype`, rounded once more where that is narrower than float32."""
        if dtype == torch.float16:  # in which small scales lose their bits
            return self.plain(torch.float32).to(dtype)
        return self.weight.view(FLOAT8).to(dtype).mul_(self.scale.to(dtype))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)"""
        bias = None if self.bias is None else self.bias.to(states.dtype)
        return F.linear(states, self.plain(states.dtype), bias)


def pack(weight: torch.Tensor) -> Packed:
    """Return what is kept of `weight`, (out, in) of any floating-point type."""
    values = weight.float()
    scale = values.abs().amax(1, keepdim=True) / LARGEST
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # of a row of zeros
    return Packed((values / scale).clamp(-LARGEST, LARGEST).to(FLOAT8).view(torch.int8), scale)


def take(layer: nn.Module, packed: Packed) -> None:
    """Make the linear `layer`, with values or without, one that keeps `packed`."""
    layer.__class__ = Float8Linear
    cast("Float8Linear", layer).take(packed)


def linear_weights(model: nn.Module, blocks: str) -> list[str]:
    """Return the names of the weights of all linear layers in the module `blocks` of `model`."""
    layers = model.get_submodule(blocks).named_modules()
    return [f"{blocks}.{name}.weight" for name, module in layers if type(module) is nn.Linear]
