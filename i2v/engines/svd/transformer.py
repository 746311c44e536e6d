"""The UNet's transformers, in less memory and with less work: the same numbers up to rounding.

Each cross-attention attends to the picture's one embedding, and a softmax over one is 1, so its result is
that of its value and output projections, whatever asks. Feed-forward layers take so many tokens at a time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import nn

# Tokens that a feed-forward layer takes at a time. What is held of these is little next to the activations.
CHUNK_TOKENS = 2**14


class ChunkedFeedForward(nn.Module):
    """diffusers' `FeedForward`, over its layers, `chunk_tokens` at a time."""

    def __init__(self, module: FeedForward) -> None:
        super().__init__()
        self.net = module.net
        self.chunk_tokens = CHUNK_TOKENS

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., C) -> (..., C')"""
        widen, _, project = self.net
        tokens = states.flatten(0, -2)
        parts = [project(_gated(widen.proj, part)) for part in torch.split(tokens, self.chunk_tokens)]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).view(*states.shape[:-1], -1)


def _gated(widen: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """GEGLU (Shazeer 2020, arXiv 2002.05202), one half after the other: less is held at once."""
    (weight, gate_weight), (bias, gate_bias) = widen.weight.chunk(2), widen.bias.chunk(2)
    gate = F.gelu(F.linear(states, gate_weight, gate_bias))
    return gate.mul_(F.linear(states, weight, bias))


class SingleTokenAttention:
    """A processor of diffusers' `Attention` for a context of one token."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (N, 1, C): what each of the (N, L, C) queries would get from (N, 1, D)."""
        if encoder_hidden_states.shape[1] != 1 or attention_mask is not None:
            raise ValueError(f"one token is attended to, not {encoder_hidden_states.shape[1]}")
        output: torch.Tensor = attention.to_out[0](attention.to_v(encoder_hidden_states))
        return output


def use_lean_transformers(unet: UNetSpatioTemporalConditionModel) -> None:
    """Put both into the transformers of `unet`, whose tensors keep their names and values."""
    for module in list(unet.modules()):
        for name, child in module.named_children():
            if isinstance(child, FeedForward):
                setattr(module, name, ChunkedFeedForward(child))
            elif isinstance(child, Attention) and name == "attn2":
                child.set_processor(SingleTokenAttention())


def set_chunk_tokens(unet: UNetSpatioTemporalConditionModel, chunk_tokens: int) -> None:
    """Have feed-forward layers take so many tokens at a time; 0 for `CHUNK_TOKENS`."""
    for module in unet.modules():
        if isinstance(module, ChunkedFeedForward):
            module.chunk_tokens = chunk_tokens or CHUNK_TOKENS
