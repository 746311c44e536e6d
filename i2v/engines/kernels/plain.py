"""The operations that kernels exist for, in plain torch: what a CPU runs, and what kernels are held to.

Pictures are (N, C, h, w), their channels last in memory; tokens (..., C). Nothing here knows a model.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from i2v.core.errors import Notice

Padding = int | tuple[int, int]


class Operations(Protocol):
    """What a forward is made of, besides matrices and longer attention.

    Attributes:
        name: whose they are, now.
        failure: why they are plain here although they should be fused, `None` otherwise.
    """

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> Notice | None: ...

    def group_norm(
        self, norm: nn.GroupNorm, picture: torch.Tensor, bias: torch.Tensor | None = None, silu: bool = False
    ) -> torch.Tensor:
        """Normalise `picture` + `bias` (C); with `silu`, activate it too."""
        ...

    def convolve(
        self, picture: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding: Padding
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the convolved picture, and the bias (C) that is still to be added to it, if one is."""
        ...

    def add(
        self, update: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return pictures `update` + `residual` + `bias` (C). `update` is used up."""
        ...

    def add_layer_norm(
        self, update: torch.Tensor, residual: torch.Tensor, norm: nn.LayerNorm
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sum of two (B, ..., C), and the sum normalised.

        `update` is used up. `residual` may have one row where `update` has B.
        """
        ...

    def gated(self, widen: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        """GEGLU (Shazeer 2020, arXiv 2002.05202) of (T, C): half of the channels, times the others' GELU."""
        ...

    def attend_over_time(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int
    ) -> torch.Tensor:
        """Attend among the frames of each pixel: each (B, F, P, heads * d), as is the result."""
        ...


class Plain:
    """Torch's own operations, in an order that suits a CPU's caches."""

    name = "torch"

    def __init__(self, failure: Notice | None = None) -> None:
        self.failure = failure

    def group_norm(
        self, norm: nn.GroupNorm, picture: torch.Tensor, bias: torch.Tensor | None = None, silu: bool = False
    ) -> torch.Tensor:
        if bias is not None:
            picture = picture + bias[:, None, None]
        normed: torch.Tensor = norm(picture)
        return F.silu(normed, inplace=True) if silu else normed

    def convolve(
        self, picture: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding: Padding
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return F.conv2d(picture, weight, bias, padding=padding), None

    def add(
        self, update: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        if bias is not None:
            update.add_(bias[:, None, None])
        return update.add_(residual)

    def add_layer_norm(
        self, update: torch.Tensor, residual: torch.Tensor, norm: nn.LayerNorm
    ) -> tuple[torch.Tensor, torch.Tensor]:
        total = update.add_(residual)
        return total, norm(total)

    def gated(self, widen: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        # One half after the other: each is contiguous, and less is held at once.
        (weight, gate_weight), (bias, gate_bias) = widen.weight.chunk(2), widen.bias.chunk(2)
        gate = F.gelu(F.linear(tokens, gate_weight, gate_bias))
        return gate.mul_(F.linear(tokens, weight, bias))

    def attend_over_time(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int
    ) -> torch.Tensor:
        histories = (
            states.view(*states.shape[:3], heads, -1).permute(0, 2, 3, 1, 4)  # (B, P, heads, F, d)
            for states in (query, key, value)
        )
        rows = [attend(*row).permute(2, 0, 1, 3).flatten(2) for row in zip(*histories, strict=True)]
        return torch.stack(rows)


PLAIN = Plain()

# CUDA's kernels have the batch in a dimension of their launch grid, and more than this they refuse.
MAX_ATTENTION_BATCH = 65_535


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention of (N, heads, L, d), in batches that every kernel takes."""
    if len(query) <= MAX_ATTENTION_BATCH:
        return F.scaled_dot_product_attention(query, key, value)
    parts = (torch.split(tensor, MAX_ATTENTION_BATCH) for tensor in (query, key, value))
    return torch.cat([F.scaled_dot_product_attention(*part) for part in zip(*parts, strict=True)])
