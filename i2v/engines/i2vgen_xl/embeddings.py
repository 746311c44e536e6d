"""What the UNet is told besides pictures and words, as vectors: when in the noise, and where in the clip.

Weights have their published names.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from i2v.engines.i2vgen_xl.attention import SelfAttention


def sinusoids(positions: torch.Tensor, channels: int) -> torch.Tensor:
    """(N,) -> (N, channels) in float32: cosines, then sines (Vaswani et al. 2017, arXiv 1706.03762)."""
    half = channels // 2
    exponents = -math.log(10_000) * torch.arange(half, dtype=torch.float32, device=positions.device)
    angles = positions[:, None].float() * torch.exp(exponents / half)[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class TimestepEmbedding(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, out_channels)
        self.linear_2 = nn.Linear(out_channels, out_channels)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(N, C) -> (N, C')"""
        result: torch.Tensor = self.linear_2(F.silu(self.linear_1(states)))
        return result


class _Widen(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, inner)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.proj(states))


class _FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        # published with dropout between
        self.net = nn.Sequential(_Widen(channels, inner), nn.Identity(), nn.Linear(inner, channels))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(states)
        return result


class TemporalEncoder(nn.Module):
    """Mixes the first frame's features with where each frame is in the clip, along each pixel's history."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = SelfAttention(channels, heads=2, head_dim=channels)
        self.ff = _FeedForward(channels)

    def forward(self, histories: torch.Tensor) -> torch.Tensor:
        """(N, F, C) -> the same shape."""
        states: torch.Tensor = self.attn1(self.norm1(histories)) + histories
        result: torch.Tensor = self.ff(states) + states
        return result
