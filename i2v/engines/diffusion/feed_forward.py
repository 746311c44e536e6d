"""Feed-forward layers of diffusers' transformers, in chunks of tokens: the same numbers up to rounding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
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


def use_chunked_feed_forward(model: nn.Module) -> None:
    """Put them into the transformers of `model`, whose tensors keep their names and values."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, FeedForward):
                setattr(module, name, ChunkedFeedForward(child))


def set_chunk_tokens(model: nn.Module, chunk_tokens: int) -> None:
    """Have feed-forward layers take so many tokens at a time; 0 for `CHUNK_TOKENS`."""
    for module in model.modules():
        if isinstance(module, ChunkedFeedForward):
            module.chunk_tokens = chunk_tokens or CHUNK_TOKENS
