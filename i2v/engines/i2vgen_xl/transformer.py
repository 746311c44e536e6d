"""The UNet's transformers: spatial (within each frame) and temporal (within each pixel's history).

Both are one computation on tokens of shape (B, F, h*w, C): B rows, F frames. They differ in which tokens see
each other: those of a frame, or those of a pixel. So memory is bounded in both the same way, by a few frames
or a few pixels at a time. Weights have their published names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from i2v.engines.i2vgen_xl.attention import CrossAttention, KeyValue, SelfAttention, TemporalAttention
from i2v.engines.i2vgen_xl.layouts import as_frames, as_tokens, over_time
from i2v.engines.kernels.plain import PLAIN, Operations

_WIDER = 4  # a token in a feed-forward layer, than outside


class _Widened(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * _WIDER * channels)  # what is kept, and what gates it


class FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        # published with dropout between
        self.net = nn.ModuleList([_Widened(channels), nn.Identity(), nn.Linear(_WIDER * channels, channels)])

    def forward(
        self, states: torch.Tensor, chunk_tokens: int = 0, operations: Operations = PLAIN
    ) -> torch.Tensor:
        """Widen each token of (..., C), gate it, project it back; `chunk_tokens` at a time (0: all)."""
        widen, project = cast("_Widened", self.net[0]), self.net[2]
        tokens = states.flatten(0, -2)
        parts = [
            project(operations.gated(widen.proj, part))
            for part in torch.split(tokens, chunk_tokens or len(tokens))
        ]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).view(states.shape)


class SpatialBlock(nn.Module):
    """Tokens attend to their frame, then to the clip's context."""

    def __init__(self, heads: int, head_dim: int, context_channels: int) -> None:
        super().__init__()
        channels = heads * head_dim
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1 = SelfAttention(channels, heads, head_dim)
        self.attn2 = CrossAttention(channels, heads, head_dim, context_channels)
        self.ff = FeedForward(channels)

    def forward(
        self, states: torch.Tensor, context: KeyValue, chunk_tokens: int, operations: Operations
    ) -> torch.Tensor:
        update = self.attn1(self.norm1(states))
        states, normed = operations.add_layer_norm(update, states, self.norm2)
        update = self.attn2(normed, context)
        states, normed = operations.add_layer_norm(update, states, self.norm3)
        result: torch.Tensor = self.ff(normed, chunk_tokens, operations).add_(states)
        return result


class TemporalBlock(nn.Module):
    """Tokens attend to their pixel's history, twice."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        channels = heads * head_dim
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1, self.attn2 = (TemporalAttention(channels, heads, head_dim) for _ in range(2))
        self.ff = FeedForward(channels)

    def forward(self, states: torch.Tensor, chunk_tokens: int, operations: Operations) -> torch.Tensor:
        update = self.attn1(self.norm1(states), operations)
        states, normed = operations.add_layer_norm(update, states, self.norm2)
        update = self.attn2(normed, operations)
        states, normed = operations.add_layer_norm(update, states, self.norm3)
        result: torch.Tensor = self.ff(normed, chunk_tokens, operations).add_(states)
        return result


class SpatialTransformer(nn.Module):
    """Tokens of `heads` * `head_dim` channels, between projections from and to a picture's."""

    def __init__(self, channels: int, heads: int, head_dim: int, context_channels: int, groups: int) -> None:
        super().__init__()
        inner = heads * head_dim
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(heads, head_dim, context_channels)])
        self.proj_out = nn.Linear(inner, channels)

    @property
    def block(self) -> SpatialBlock:
        return cast("SpatialBlock", self.transformer_blocks[0])

    def forward(
        self,
        hidden: torch.Tensor,
        context: KeyValue,
        num_frames: int,
        chunk_tokens: int = 0,
        operations: Operations = PLAIN,
    ) -> torch.Tensor:
        """Attend within each frame, then to the clip's `context`.

        `hidden` (R*F, C, h, w) may have one row where `context` has B: until here the rows of classifier-free
        guidance do not differ. The result has B.
        """

        def transform(part: torch.Tensor) -> torch.Tensor:
            # `forward`, since a call would hold on to what goes in, which the block lets go of
            states = self.block.forward(self.proj_in(part), context, chunk_tokens, operations)
            return cast("torch.Tensor", self.proj_out(states))

        normed = as_tokens(operations.group_norm(self.norm, hidden), num_frames)
        rows = max(len(normed), len(context[0]))
        result = _in_parts(transform, normed, 1, rows * normed.shape[2], chunk_tokens)
        return as_frames(result.add_(as_tokens(hidden, num_frames)), *hidden.shape[2:])


class TemporalTransformer(nn.Module):
    """Tokens of `heads` * `head_dim` channels, between projections from and to a picture's."""

    def __init__(self, channels: int, heads: int, head_dim: int, groups: int) -> None:
        super().__init__()
        inner = heads * head_dim
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(heads, head_dim)])
        self.proj_out = nn.Linear(inner, channels)

    @property
    def block(self) -> TemporalBlock:
        return cast("TemporalBlock", self.transformer_blocks[0])

    def forward(
        self,
        hidden: torch.Tensor,
        num_frames: int,
        chunk_tokens: int = 0,
        operations: Operations = PLAIN,
    ) -> torch.Tensor:
        """Attend within each pixel's history, twice. `hidden`: (B*F, C, h, w)."""

        def transform(part: torch.Tensor) -> torch.Tensor:
            # see `SpatialTransformer.forward`
            states = self.block.forward(self.proj_in(part), chunk_tokens, operations)
            return cast("torch.Tensor", self.proj_out(states))

        normed = operations.group_norm(self.norm, over_time(hidden, num_frames)).permute(0, 2, 3, 1)
        result = _in_parts(transform, normed, 2, len(normed) * num_frames, chunk_tokens)
        return as_frames(result.add_(as_tokens(hidden, num_frames)), *hidden.shape[2:])


def _in_parts(
    transform: Callable[[torch.Tensor], torch.Tensor],
    tokens: torch.Tensor,
    axis: int,
    together: int,
    chunk_tokens: int,
) -> torch.Tensor:
    """Transform `chunk_tokens` at a time (0: all at once), split along `axis` of `tokens` (B, F, P, C).

    Args:
        together: tokens, of all rows, at each place of `axis`: they see each other.
    """
    step = max(1, chunk_tokens // together) if chunk_tokens else tokens.shape[axis]
    parts = [transform(part) for part in torch.split(tokens, step, dim=axis)]
    return torch.cat(parts, dim=axis) if len(parts) > 1 else parts[0]
