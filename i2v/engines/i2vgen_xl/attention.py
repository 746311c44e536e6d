"""The UNet's transformers: spatial (within each frame) and temporal (within each pixel's history).

Both are one computation on tokens of shape (B, F, h*w, C): B rows, F frames. They differ in which tokens see
each other: those of a frame, or those of a pixel. So memory is bounded in both the same way, by a few frames
or a few pixels at a time. The weights are those of diffusers' modules; nothing here holds any.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from i2v.engines.i2vgen_xl.layouts import as_frames, as_tokens, over_time
from i2v.engines.i2vgen_xl.projections import JointProjection
from i2v.engines.kernels.plain import PLAIN, Operations, attend

KeyValue = tuple[torch.Tensor, torch.Tensor]  # (B, heads, T, d) each

# Frames times a head's channels up to which `_brief_attention_over_time` is faster, measured on one core.
BRIEF = 128


def spatial_transformer(
    module: Transformer2DModel,
    hidden: torch.Tensor,
    context: KeyValue,
    num_frames: int,
    chunk_tokens: int,
    operations: Operations = PLAIN,
) -> torch.Tensor:
    """Attend within each frame, then to the clip's `context`.

    `hidden` (R*F, C, h, w) may have one row where `context` has B: until here the rows of classifier-free
    guidance do not differ. The result has B.
    """
    normed = as_tokens(operations.group_norm(module.norm, hidden), num_frames)
    result = _transform(module, normed, context, chunk_tokens, operations)
    return as_frames(result.add_(as_tokens(hidden, num_frames)), *hidden.shape[2:])


def temporal_transformer(
    module: TransformerTemporalModel,
    hidden: torch.Tensor,
    num_frames: int,
    chunk_tokens: int,
    operations: Operations = PLAIN,
) -> torch.Tensor:
    """Attend within each pixel's history, twice. `hidden`: (B*F, C, h, w)."""
    normed = operations.group_norm(module.norm, over_time(hidden, num_frames)).permute(0, 2, 3, 1)
    result = _transform(module, normed, None, chunk_tokens, operations)
    return as_frames(result.add_(as_tokens(hidden, num_frames)), *hidden.shape[2:])


def _transform(
    module: Transformer2DModel | TransformerTemporalModel,
    tokens: torch.Tensor,
    context: KeyValue | None,
    chunk_tokens: int,
    operations: Operations,
) -> torch.Tensor:
    """Run a transformer's one block between its projections, `chunk_tokens` at a time (0: all at once)."""
    rows, num_frames, pixels, _ = tokens.shape
    rows = max(rows, len(context[0]) if context else 0)
    apart, together = (1, pixels) if context else (2, num_frames)  # the axis to split, what sees each other
    step = max(1, chunk_tokens // (rows * together)) if chunk_tokens else tokens.shape[apart]
    parts = []
    for part in torch.split(tokens, step, dim=apart):
        # no name for what goes in: the block lets go of it
        states = _block(module.transformer_blocks[0], module.proj_in(part), context, chunk_tokens, operations)
        parts.append(module.proj_out(states))
    return torch.cat(parts, dim=apart) if len(parts) > 1 else parts[0]


def _block(
    block: BasicTransformerBlock,
    states: torch.Tensor,
    context: KeyValue | None,
    chunk_tokens: int,
    operations: Operations,
) -> torch.Tensor:
    if context:
        update = attention_in_frames(block.attn1, block.norm1(states))
        states, normed = operations.add_layer_norm(update, states, block.norm2)
        update = cross_attention(block.attn2, normed, context)
    else:
        update = attention_over_time(block.attn1, block.norm1(states), operations)
        states, normed = operations.add_layer_norm(update, states, block.norm2)
        update = attention_over_time(block.attn2, normed, operations)
    states, normed = operations.add_layer_norm(update, states, block.norm3)
    return feed_forward(block.ff, normed, chunk_tokens, operations).add_(states)


def attention_in_frames(attention: Attention, states: torch.Tensor) -> torch.Tensor:
    """Attend among the pixels of each frame of `states` (B, F, P, C)."""
    query, key, value = (
        _heads(projected.flatten(0, 1), attention.heads)
        for projected in queries_keys_values(attention, states)
    )
    attended = attend(query, key, value).transpose(1, 2).reshape(*states.shape[:3], -1)
    result: torch.Tensor = attention.to_out[0](attended)
    return result


def attention_over_time(
    attention: Attention, states: torch.Tensor, operations: Operations = PLAIN
) -> torch.Tensor:
    """Attend among the frames of each pixel of `states` (B, F, P, C)."""
    if _is_brief(attention, states):
        return _brief_attention_over_time(attention, states)
    query, key, value = queries_keys_values(attention, states)
    attended = operations.attend_over_time(query, key, value, attention.heads)
    result: torch.Tensor = attention.to_out[0](attended)
    return result


def queries_keys_values(attention: Attention, states: torch.Tensor) -> Iterator[torch.Tensor]:
    """Project `states` (..., C) for attention among themselves: three of (..., heads * d)."""
    if isinstance(attention.to_q, JointProjection):
        return iter(attention.to_q(states).chunk(3, dim=-1))
    return (project(states) for project in (attention.to_q, attention.to_k, attention.to_v))


def _is_brief(attention: Attention, states: torch.Tensor) -> bool:
    """Tell whether a CPU's kernel, which takes one pixel's head at a time, would mostly start and end."""
    head_dim = states.shape[3] // attention.heads
    is_small = states.dtype == torch.float32 and states.shape[1] * head_dim <= BRIEF
    return states.is_cpu and is_small and not isinstance(attention.to_q, JointProjection)


def _brief_attention_over_time(attention: Attention, states: torch.Tensor) -> torch.Tensor:
    """Attend over few frames with small heads: sums of products of whole pictures, a frame with a frame."""
    num_frames, channels = states.shape[1], states.shape[3]
    tokens = states.reshape(-1, channels).T
    query, key, value = (
        torch.mm(project.weight, tokens).view(attention.heads, -1, *states.shape[:3])  # (heads, d, B, F, P)
        for project in (attention.to_q, attention.to_k, attention.to_v)
    )
    head_dim = query.shape[1]
    query *= head_dim**-0.5
    scores = query[:, 0, :, :, None] * key[:, 0, :, None]  # (heads, B, F, F, P)
    for part in range(1, head_dim):
        scores.addcmul_(query[:, part, :, :, None], key[:, part, :, None])
    weights = scores.softmax(3)
    attended = weights[:, None, :, :, 0] * value[:, :, :, 0, None]  # (heads, d, B, F, P)
    for frame in range(1, num_frames):
        attended.addcmul_(weights[:, None, :, :, frame], value[:, :, :, frame, None])
    result: torch.Tensor = attention.to_out[0](attended.view(channels, -1).T)
    return result.view(states.shape)


def cross_attention(attention: Attention, states: torch.Tensor, context: KeyValue) -> torch.Tensor:
    """Attend from `states` (R, F, P, C) to `context` of B rows; R is B or 1. Returns (B, F, P, C).

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


def feed_forward(
    module: FeedForward, states: torch.Tensor, chunk_tokens: int, operations: Operations = PLAIN
) -> torch.Tensor:
    """Widen each token of (..., C), gate it, project it back; `chunk_tokens` at a time (0: all at once)."""
    widen, _, project = module.net
    tokens = states.flatten(0, -2)
    parts = [
        project(operations.gated(widen.proj, part))
        for part in torch.split(tokens, chunk_tokens or len(tokens))
    ]
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).view(states.shape)
