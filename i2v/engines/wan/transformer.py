"""What the transformer predicts at one step: diffusers' forward, in less memory.

Where the first frame is the picture, it is at time 0, and all others at the step's time. diffusers tells
every token its time then, in tensors of six times the activations and in float32; here the two times are told
once. What looks at one token alone is run for so many tokens at a time. The same numbers up to rounding.

This knows nothing of schedulers, guidance scales or pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import nn

# Tokens that are taken at a time. What is held of these is little next to the activations.
CHUNK_TOKENS = 2**13

Rotary = tuple[torch.Tensor, torch.Tensor]  # cosines and sines, each (1, N, 1, head)


@dataclass(frozen=True)
class Pieces:
    """How `total` tokens are taken: the first `still` are the picture's."""

    still: int
    total: int
    chunk: int

    def __iter__(self) -> Iterator[tuple[slice, int]]:
        """Yield the tokens of each piece, and their time: 0 for the picture's, 1 for the step's."""
        for row, (begin, end) in enumerate(((0, self.still), (self.still, self.total))):
            for start in range(begin, end, self.chunk):
                yield slice(start, min(start + self.chunk, end)), row


class LeanBlock(nn.Module):
    """diffusers' `WanTransformerBlock`, over its layers and under their names."""

    def __init__(self, block: WanTransformerBlock) -> None:
        super().__init__()
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ffn = block.norm3, block.ffn
        self.scale_shift_table = block.scale_shift_table

    def forward(
        self, states: torch.Tensor, text: torch.Tensor, time: torch.Tensor, rotary: Rotary, pieces: Pieces
    ) -> torch.Tensor:
        """(B, N, C) -> (B, N, C), written to `states` itself. text: (B, T, C); time: (2, 6, C)."""
        shift, scale, gate, late_shift, late_scale, late_gate = (
            self.scale_shift_table + time.float()
        ).unbind(1)
        attended = self._attend(states, scale, shift, rotary, pieces)
        for piece, row in pieces:
            part = states[:, piece]
            out = self.attn1.to_out[0](attended[:, piece])
            part.copy_(part.float() + out * gate[row])
        del attended
        for piece, row in pieces:
            part = states[:, piece]
            part += self.attn2(self.norm2(part.float()).type_as(part), text, None, None)
            inner = self.ffn(modulated(self.norm3, part, late_scale[row], late_shift[row]))
            part.copy_(part.float() + inner.float() * late_gate[row])
        return states

    def _attend(
        self, states: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, rotary: Rotary, pieces: Pieces
    ) -> torch.Tensor:
        """Return (B, N, C), before the projection. Held whole are only queries, keys and values."""
        attention, shape = self.attn1, (*states.shape[:2], self.attn1.heads, -1)
        query, key, value = (torch.empty_like(states).view(shape) for _ in range(3))
        for piece, row in pieces:
            normed = modulated(self.norm1, states[:, piece], scale[row], shift[row])
            heads = (*normed.shape[:2], *shape[2:])
            angles = (rotary[0][:, piece], rotary[1][:, piece])
            query[:, piece] = rotated(attention.norm_q(attention.to_q(normed)).view(heads), angles)
            key[:, piece] = rotated(attention.norm_k(attention.to_k(normed)).view(heads), angles)
            value[:, piece] = attention.to_v(normed).view(heads)
        attended: torch.Tensor = dispatch_attention_fn(query, key, value)
        return attended.flatten(2)


def rotated(heads: torch.Tensor, angles: Rotary) -> torch.Tensor:
    """(B, n, heads, head) -> the same shape, each pair of numbers turned by its angle, as diffusers does."""
    first, second = heads.view(*heads.shape[:-1], -1, 2).unbind(-1)
    cosine, sine = angles[0][..., 0::2], angles[1][..., 1::2]
    turned = torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    return turned.flatten(-2).type_as(heads)


def modulated(
    norm: FP32LayerNorm, states: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """(B, n, C) -> (B, n, C): normed in float32, scaled and shifted by (C,)."""
    normed: torch.Tensor = norm(states.float()).mul_(1 + scale).add_(shift)
    return normed.type_as(states)


def use_lean_blocks(transformer: WanTransformer3DModel) -> None:
    """Put them into `transformer`, whose tensors keep their names and values."""
    transformer.blocks = nn.ModuleList(LeanBlock(block) for block in transformer.blocks)


def predict(
    transformer: WanTransformer3DModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    text: torch.Tensor,
    chunk_tokens: int = 0,
    *,
    first_is_still: bool,
) -> torch.Tensor:
    """Return the (B, C, F, h, w) velocity under each of the B rows of `text`.

    Args:
        latents: (1, C', F, h, w), with more channels than what is returned where something is beside them.
        timestep: of no dimension.
        text: (B, T, D) states of the text encoder.
        chunk_tokens: that are taken at a time; 0 for `CHUNK_TOKENS`.
        first_is_still: the first frame is the picture's, at time 0 whatever the step.
    """
    count = len(text)
    rotary: Rotary = transformer.rope(latents)
    patches = transformer.patch_embedding(latents.to(text.dtype))
    frames, height, width = patches.shape[2:]
    tokens = patches.flatten(2).transpose(1, 2)
    states = tokens.expand(count, -1, -1).contiguous() if count > 1 else tokens.contiguous()
    del patches, tokens
    still = height * width if first_is_still else 0
    pieces = Pieces(still, states.shape[1], chunk_tokens or CHUNK_TOKENS)
    times = torch.stack([torch.zeros_like(timestep), timestep]).float()
    time, projected, context, _ = transformer.condition_embedder(times, text)
    for block in transformer.blocks:
        states = block(states, context, projected.unflatten(1, (6, -1)), rotary, pieces)
    shift, scale = (transformer.scale_shift_table + time[:, None]).unbind(1)
    output = torch.cat(
        [
            transformer.proj_out(modulated(transformer.norm_out, states[:, piece], scale[row], shift[row]))
            for piece, row in pieces
        ],
        dim=1,
    )
    grid = output.view(count, frames, height, width, *transformer.config.patch_size, -1)
    # (B, f, h, w, pt, ph, pw, C) -> (B, C, f pt, h ph, w pw)
    return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
