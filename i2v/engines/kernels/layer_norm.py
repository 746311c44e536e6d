"""The sum of two tensors and its layer norm, in Triton: what is read once is added and normalised."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_NUMBERS = 4096  # of a program, in whole rows


@triton.jit
def _add_layer_norm(
    update, residual, weight, offset, normed, rows, residual_rows, channels, eps,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, CHANNELS)
    is_channel = column < channels
    mask = (row < rows)[:, None] & is_channel[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    others = (row % residual_rows).to(tl.int64)[:, None] * channels + column[None, :]
    total = tl.load(update + offsets, mask=mask, other=0.0).to(tl.float32)
    total += tl.load(residual + others, mask=mask, other=0.0).to(tl.float32)
    rounded = total.to(update.dtype.element_ty)
    tl.store(update + offsets, rounded, mask=mask)
    values = rounded.to(tl.float32)  # of what the next sum will begin with
    mean = tl.sum(values, 1) / channels
    deviation = tl.where(mask, values - mean[:, None], 0.0)
    variance = tl.sum(deviation * deviation, 1) / channels
    scale = (1.0 / tl.sqrt(variance + eps))[:, None]
    factors = tl.load(weight + column, mask=is_channel, other=0.0).to(tl.float32)[None, :]
    added = tl.load(offset + column, mask=is_channel, other=0.0).to(tl.float32)[None, :]
    result = deviation * scale * factors + added
    tl.store(normed + offsets, result.to(normed.dtype.element_ty), mask=mask)


def add_layer_norm(
    update: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `plain.Operations.add_layer_norm`; both must be contiguous. The sum is in `update`."""
    channels = update.shape[-1]
    rows = update.numel() // channels
    normed = torch.empty_like(update)
    width = triton.next_power_of_2(channels)
    block = max(1, min(_NUMBERS // width, 16))
    _add_layer_norm[(triton.cdiv(rows, block),)](
        update, residual, weight, offset, normed, rows, residual.numel() // channels, channels, eps,
        ROWS=block, CHANNELS=width,
    )  # fmt: skip
    return update, normed
