"""Attention among the few frames of each pixel, in Triton: a program has all of some pixels' histories.

Kernels made for long sequences take a block of 64 or 128 queries for the 16 that there are, and want each
history moved together first. Here tokens are read where they lie, (B, F, P, C), and written so.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_NUMBERS = 4096  # of queries, in one program
_LEAST = 16  # of each side of a matrix that the tensor cores multiply


@triton.jit
def _attend(
    query, key, value, result,
    num_frames, pixels, head_dim, row_step, frame_step, pixel_step, channels, scale,
    PIXELS: tl.constexpr, FRAMES: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    heads = channels // head_dim
    head = tl.program_id(0) % heads
    pixel = (tl.program_id(0) // heads) * PIXELS + tl.arange(0, PIXELS)
    row = tl.program_id(1).to(tl.int64)
    frame = tl.arange(0, FRAMES)
    part = tl.arange(0, DIM)
    place = row * row_step + (
        pixel.to(tl.int64)[:, None, None] * pixel_step
        + frame.to(tl.int64)[None, :, None] * frame_step
        + (head * head_dim + part)[None, None, :]
    )
    is_frame = frame < num_frames
    mask = (pixel < pixels)[:, None, None] & is_frame[None, :, None] & (part < head_dim)[None, None, :]
    queries = tl.load(query + place, mask=mask, other=0.0)
    keys = tl.load(key + place, mask=mask, other=0.0)
    values = tl.load(value + place, mask=mask, other=0.0)
    scores = tl.dot(queries, tl.permute(keys, (0, 2, 1)), input_precision="ieee") * scale
    scores = tl.where(is_frame[None, None, :], scores, float("-inf"))
    weights = tl.exp(scores - tl.max(scores, 2)[:, :, None])
    total = tl.sum(weights, 2)[:, :, None]
    attended = tl.dot(weights.to(values.dtype), values, input_precision="ieee") / total
    target = ((row * num_frames + frame[None, :, None]) * pixels + pixel[:, None, None]) * channels + (
        head * head_dim + part
    )[None, None, :]
    tl.store(result + target, attended.to(result.dtype.element_ty), mask=mask)


def attend_over_time(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """See `plain.Operations.attend_over_time`; up to 32 frames, heads of up to 128 channels."""
    rows, num_frames, pixels, channels = query.shape
    if not query.stride() == key.stride() == value.stride() or query.stride(3) != 1:
        query, key, value = (states.contiguous() for states in (query, key, value))
    head_dim = channels // heads
    frames = max(_LEAST, triton.next_power_of_2(num_frames))
    dim = max(_LEAST, triton.next_power_of_2(head_dim))
    block = max(1, _NUMBERS // (frames * dim))
    result = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    _attend[(triton.cdiv(pixels, block) * heads, rows)](
        query, key, value, result, num_frames, pixels, head_dim, *query.stride()[:3], channels,
        head_dim**-0.5, PIXELS=block, FRAMES=frames, DIM=dim,
    )  # fmt: skip
    return result
