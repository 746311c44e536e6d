"""Doubling a picture's sides and convolving it, without convolving what the doubling only repeated.

A 3x3 convolution of a picture doubled by nearest neighbour sees each pixel of the small one up to four times.
The sums of the weights that meet there make one transposed convolution of the small picture, 4x4 with stride
2: 16 products for each of its pixels instead of 36, the same result up to rounding (phase convolution; Shi et
al. 2016, arXiv 1609.07009, on the equivalence). Who calls it, UNet or VAE, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.models.upsampling import Upsample2D
from torch import nn

# Rows: taps of the 4; columns: weights of the 3 that are summed there. And its left inverse.
_SUMS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
_UNDO = ((0.0, 0.0, 0.0, 1.0), (-1.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


class Upsample(nn.Module):
    """The plain way, with tensors as they are published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: torch.Tensor, output_size: Sequence[int]) -> torch.Tensor:
        """(N, C, h, w) -> (N, C, *output_size)"""
        result: torch.Tensor = self.conv(F.interpolate(hidden, size=tuple(output_size)))
        return result


class PhaseUpsample(nn.Module):
    """What `Upsample`, or diffusers' `Upsample2D(use_conv=True)`, computes, in its place.

    `weight`: (C_in, C_out, 4, 4). The 3x3 weights are not kept: what they come to is in the sums.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(_along_both_axes(_SUMS, conv.weight).transpose(0, 1), requires_grad=False)
        self.bias = conv.bias

    def forward(self, hidden: torch.Tensor, output_size: Sequence[int] | None = None) -> torch.Tensor:
        """(N, C_in, h, w) -> (N, C_out, 2h, 2w), or a row or column less where `output_size` says so."""
        doubled = (2 * hidden.shape[2], 2 * hidden.shape[3])
        if output_size is None or tuple(output_size) == doubled:
            return F.conv_transpose2d(hidden, self.weight, self.bias, stride=2, padding=1)
        # The doubled picture ends early, and there meets padding instead of its own repetition.
        weight = _along_both_axes(_UNDO, self.weight.transpose(0, 1))
        return F.conv2d(F.interpolate(hidden, size=tuple(output_size)), weight, self.bias, padding=1)


def _along_both_axes(table: Sequence[Sequence[float]], weight: torch.Tensor) -> torch.Tensor:
    """Apply `table` to the last two axes of `weight`, in float32."""
    matrix = torch.tensor(table, dtype=torch.float32, device=weight.device)
    result = weight.flatten(2).float() @ torch.kron(matrix, matrix).T
    return result.reshape(*weight.shape[:2], len(table), len(table)).to(weight.dtype)


def use_phase_convolutions(model: nn.Module) -> None:
    """Put a `PhaseUpsample` in the place of every `Upsample` and every convolving `Upsample2D` in `model`."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Upsample) or (isinstance(child, Upsample2D) and child.use_conv):
                setattr(module, name, PhaseUpsample(child.conv))
