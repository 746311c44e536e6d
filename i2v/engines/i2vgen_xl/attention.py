"""The three ways in which the UNet's tokens attend: in a frame, along a pixel's history, to the prompt.

Tokens are (B, F, P, C): B rows, F frames, P pixels. Weights have their published names, until self-attention
joins its projections.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from i2v.engines.kernels.plain import PLAIN, Operations, attend

KeyValue = tuple[torch.Tensor, torch.Tensor]  # (B, heads, T, d) each

# Frames times a head's channels up to which `TemporalAttention._attend_briefly` is faster, on one core.
BRIEF = 128


class Attention(nn.Module):
    """Projections: of what asks, of what is attended to, and of the result."""

    def __init__(self, channels: int, heads: int, head_dim: int, context_channels: int) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads, self.head_dim = heads, head_dim
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(context_channels, inner, bias=False)
        self.to_v = nn.Linear(context_channels, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def project_out(self, attended: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.to_out[0](attended)
        return result


class SelfAttention(Attention):
    """Of tokens among themselves."""

    to_qkv: nn.Parameter | None  # (3 * heads * d, C), in the place of `to_q`, `to_k` and `to_v`

    def __init__(self, channels: int, heads: int, head_dim: int) -> None:
        super().__init__(channels, heads, head_dim, channels)
        self.register_parameter("to_qkv", None)

    def join_projections(self) -> None:
        """Project by one matrix: on CUDA three products are three launches. A CPU gains nothing."""
        weights = [project.weight for project in (self.to_q, self.to_k, self.to_v)]
        self.to_qkv = nn.Parameter(torch.cat(weights), requires_grad=False)
        del self.to_q, self.to_k, self.to_v

    def queries_keys_values(self, states: torch.Tensor) -> Sequence[torch.Tensor]:
        """(..., C) -> three of (..., heads * d)."""
        if self.to_qkv is not None:
            return nn.functional.linear(states, self.to_qkv).chunk(3, dim=-1)
        return self.to_q(states), self.to_k(states), self.to_v(states)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Attend within each sequence of (..., L, C): a frame's pixels."""
        query, key, value = (
            _heads(projected.flatten(0, -3), self.heads) for projected in self.queries_keys_values(states)
        )
        attended = attend(query, key, value).transpose(1, 2).reshape(*states.shape[:-1], -1)
        return self.project_out(attended)


class TemporalAttention(SelfAttention):
    def forward(self, states: torch.Tensor, operations: Operations = PLAIN) -> torch.Tensor:
        """Attend among the frames of each pixel of (B, F, P, C)."""
        if self._is_brief(states):
            return self._attend_briefly(states)
        query, key, value = self.queries_keys_values(states)
        return self.project_out(operations.attend_over_time(query, key, value, self.heads))

    def _is_brief(self, states: torch.Tensor) -> bool:
        """Tell whether a CPU's kernel, which takes one pixel's head at a time, would mostly start and end."""
        is_small = states.dtype == torch.float32 and states.shape[1] * self.head_dim <= BRIEF
        return states.is_cpu and is_small and self.to_qkv is None

    def _attend_briefly(self, states: torch.Tensor) -> torch.Tensor:
        """Attend over few frames with small heads: sums of products of pictures, a frame with a frame."""
        num_frames, channels = states.shape[1], states.shape[3]
        tokens = states.reshape(-1, channels).T
        query, key, value = (
            torch.mm(project.weight, tokens).view(self.heads, -1, *states.shape[:3])  # (heads, d, B, F, P)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        query *= self.head_dim**-0.5
        scores = query[:, 0, :, :, None] * key[:, 0, :, None]  # (heads, B, F, F, P)
        for part in range(1, self.head_dim):
            scores.addcmul_(query[:, part, :, :, None], key[:, part, :, None])
        weights = scores.softmax(3)
        attended = weights[:, None, :, :, 0] * value[:, :, :, 0, None]  # (heads, d, B, F, P)
        for frame in range(1, num_frames):
            attended.addcmul_(weights[:, None, :, :, frame], value[:, :, :, frame, None])
        return self.project_out(attended.view(self.heads * self.head_dim, -1).T).view(states.shape)


class CrossAttention(Attention):
    """To what is the same in every frame and at every step."""

    def encode(self, context: torch.Tensor) -> KeyValue:
        """Return what `forward` needs of `context` (B, T, D)."""
        return _heads(self.to_k(context), self.heads), _heads(self.to_v(context), self.heads)

    def forward(self, states: torch.Tensor, context: KeyValue) -> torch.Tensor:
        """Attend from `states` (R, F, P, C) to `context` of B rows; R is B or 1. Returns (B, F, P, C).

        A row's frames are one long sequence of queries.
        """
        key, value = context
        query = _heads(self.to_q(states).flatten(1, 2), self.heads).expand(len(key), -1, -1, -1)
        attended = attend(query, key, value).transpose(1, 2).reshape((len(key), *states.shape[1:3], -1))
        return self.project_out(attended)


def _heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, L, heads*d) -> (N, heads, L, d), a view."""
    return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)
