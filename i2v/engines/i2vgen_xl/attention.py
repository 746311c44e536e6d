"""The UNet's transformers: spatial (within each frame) and temporal (within each pixel's history).

Both are one computation on tokens of shape (B, S, L, C): B rows, S sequences that do not see each other, L
tokens each. Spatial: S = F frames, L = h*w pixels. Temporal: S = h*w, L = F. So memory is bounded in both the
same way: a few sequences at a time. The weights are those of diffusers' modules; nothing here holds any.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from i2v.engines.i2vgen_xl.layouts import as_frames, as_tokens, over_time

KeyValue = tuple[torch.Tensor, torch.Tensor]  # (B, heads, T, d) each

# CUDA's kernels have the batch in a dimension of their launch grid, and more than this they refuse.
MAX_ATTENTION_BATCH = 65_535


def spatial_transformer(
    module: Transformer2DModel, hidden: torch.Tensor, context: KeyValue, num_frames: int, chunk_tokens: int
) -> torch.Tensor:
    """Attend within each frame, then to the clip's `context`.

    `hidden` (R*F, C, h, w) may have one row where `context` has B: until here the rows of classifier-free
    guidance do not differ. The result has B.
    """
    result = _transform(module, as_tokens(module.norm(hidden), num_frames), context, chunk_tokens)
    return as_frames(result.add_(as_tokens(hidden, num_frames)), *hidden.shape[2:])


def temporal_transformer(
    module: TransformerTemporalModel, hidden: torch.Tensor, num_frames: int, chunk_tokens: int
) -> torch.Tensor:
    """Attend within each pixel's history, twice. `hidden`: (B*F, C, h, w)."""
    normed = module.norm(over_time(hidden, num_frames))
    result = _transform(module, normed.permute(0, 3, 2, 1), None, chunk_tokens)  # (B, h*w, F, C)
    return as_frames(as_tokens(hidden, num_frames) + result.transpose(1, 2), *hidden.shape[2:])


def _transform(
    module: Transformer2DModel | TransformerTemporalModel,
    tokens: torch.Tensor,
    context: KeyValue | None,
    chunk_tokens: int,
) -> torch.Tensor:
    """Run a transformer's one block between its projections, `chunk_tokens` at a time (0: all at once)."""
    rows, sequences, length, _ = tokens.shape
    rows = max(rows, len(context[0]) if context else 0)
    step = max(1, chunk_tokens // (rows * length)) if chunk_tokens else sequences
    parts = []
    for part in torch.split(tokens, step, dim=1):
        states = _block(module.transformer_blocks[0], module.proj_in(part), context, chunk_tokens)
        parts.append(module.proj_out(states))
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _block(
    block: BasicTransformerBlock, states: torch.Tensor, context: KeyValue | None, chunk_tokens: int
) -> torch.Tensor:
    states = self_attention(block.attn1, block.norm1(states)).add_(states)
    if context:
        states = cross_attention(block.attn2, block.norm2(states), context).add_(states)
    else:
        states = self_attention(block.attn2, block.norm2(states)).add_(states)
    return feed_forward(block.ff, block.norm3(states), chunk_tokens).add_(states)


def self_attention(attention: Attention, states: torch.Tensor) -> torch.Tensor:
    """Attend within the sequences of `states` (B, S, L, C)."""
    query, key, value = (
        _heads(project(states).flatten(0, 1), attention.heads)
        for project in (attention.to_q, attention.to_k, attention.to_v)
    )
    attended = attend(query, key, value).transpose(1, 2).reshape(*states.shape[:3], -1)
    result: torch.Tensor = attention.to_out[0](attended)
    return result


def cross_attention(attention: Attention, states: torch.Tensor, context: KeyValue) -> torch.Tensor:
    """Attend from `states` (R, S, L, C) to `context` of B rows; R is B or 1. Returns (B, S, L, C).

    What is attended to is the same in every frame, so a row's frames are one long sequence of queries.
    """
    key, value = context
    query = _heads(attention.to_q(states).flatten(1, 2), attention.heads).expand(len(key), -1, -1, -1)
    attended = attend(query, key, value).transpose(1, 2).reshape((len(key), *states.shape[1:3], -1))
    result: torch.Tensor = attention.to_out[0](attended)
    return result


def key_value(attention: Attention, context: torch.Tensor) -> KeyValue:
    """Return what `cross_attention` needs of `context` (B, T, D)."""
    return (
        _heads(attention.to_k(context), attention.heads),
        _heads(attention.to_v(context), attention.heads),
    )


def _heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, L, heads*d) -> (N, heads, L, d), a view."""
    return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention of (N, heads, L, d), in batches that every kernel takes."""
    if len(query) <= MAX_ATTENTION_BATCH:
        return F.scaled_dot_product_attention(query, key, value)
    parts = (torch.split(tensor, MAX_ATTENTION_BATCH) for tensor in (query, key, value))
    return torch.cat([F.scaled_dot_product_attention(*part) for part in zip(*parts, strict=True)])


def feed_forward(module: FeedForward, states: torch.Tensor, chunk_tokens: int) -> torch.Tensor:
    """Widen each token of (..., C), gate it, project it back; `chunk_tokens` at a time (0: all at once)."""
    widen, _, project = module.net
    tokens = states.flatten(0, -2)
    parts = [project(_gated(widen.proj(part))) for part in torch.split(tokens, chunk_tokens or len(tokens))]
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).view(states.shape)


def _gated(states: torch.Tensor) -> torch.Tensor:
    """GEGLU (Shazeer 2020, arXiv 2002.05202): one half of the channels, times GELU of the other."""
    states, gate = states.chunk(2, dim=-1)
    return F.gelu(gate).mul_(states)
