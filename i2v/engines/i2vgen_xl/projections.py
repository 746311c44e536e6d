"""Queries, keys and values of self-attention by one matrix: on CUDA, three products are three launches.

On a CPU one large product gains nothing. What attends is `attention`'s business.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import nn


class JointProjection(nn.Module):
    """What `to_q`, `to_k` and `to_v` compute, in the place of the first: (..., C) -> (..., 3 * heads * d)."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        weights = [project.weight for project in (attention.to_q, attention.to_k, attention.to_v)]
        self.weight = nn.Parameter(torch.cat(weights), requires_grad=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(states, self.weight)


def use_joint_projections(unet: nn.Module) -> None:
    """Put a `JointProjection` into every self-attention of the transformers in `unet`."""
    for transformer in unet.modules():
        if isinstance(transformer, Transformer2DModel | TransformerTemporalModel):
            block = transformer.transformer_blocks[0]
            for attention in (block.attn1, block.attn2):
                if not attention.is_cross_attention and attention.to_q.bias is None:
                    attention.to_q = JointProjection(attention)
                    attention.to_k = attention.to_v = None
