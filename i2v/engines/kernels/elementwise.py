"""GEGLU's gate, and the sum of two pictures and a bias, in Triton: each number is read and written once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_ROWS = 16
_TILE = 128


@triton.jit
def _gate(wide, rows, inner, ROWS: tl.constexpr, TILE: tl.constexpr):
    """Write the first half times GELU of the second into the first, of (rows, 2 * inner)."""
    tiles = tl.cdiv(inner, TILE)
    column = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    mask = (row < rows)[:, None] & (column < inner)[None, :]
    offsets = row.to(tl.int64)[:, None] * (2 * inner) + column[None, :]
    values = tl.load(wide + offsets, mask=mask, other=0.0).to(tl.float32)
    gates = tl.load(wide + offsets + inner, mask=mask, other=0.0).to(tl.float32)
    gates = 0.5 * gates * (1.0 + tl.erf(gates * 0.7071067811865476))  # 1 / sqrt(2)
    tl.store(wide + offsets, (values * gates).to(wide.dtype.element_ty), mask=mask)


@triton.jit
def _add(update, residual, bias, rows, channels, ROWS: tl.constexpr, TILE: tl.constexpr):
    tiles = tl.cdiv(channels, TILE)
    column = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    row = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    mask = (row < rows)[:, None] & (column < channels)[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    total = tl.load(update + offsets, mask=mask, other=0.0).to(tl.float32)
    total += tl.load(bias + column, mask=column < channels, other=0.0).to(tl.float32)[None, :]
    total += tl.load(residual + offsets, mask=mask, other=0.0).to(tl.float32)
    tl.store(update + offsets, total.to(update.dtype.element_ty), mask=mask)


def gate(wide: torch.Tensor) -> torch.Tensor:
    """GEGLU of (T, 2 * inner), contiguous: values, then gates. Returns a view of its first half."""
    rows, inner = wide.shape[0], wide.shape[1] // 2
    tile = min(_TILE, triton.next_power_of_2(inner))
    _gate[(triton.cdiv(rows, _ROWS) * triton.cdiv(inner, tile),)](wide, rows, inner, ROWS=_ROWS, TILE=tile)
    return wide[:, :inner]


def add(update: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """See `plain.Operations.add`; pictures (N, C, h, w), both channels-last in memory. Returns `update`."""
    channels = update.shape[1]
    rows = update.numel() // channels
    tile = min(_TILE, triton.next_power_of_2(channels))
    _add[(triton.cdiv(rows, _ROWS) * triton.cdiv(channels, tile),)](
        update, residual, bias, rows, channels, ROWS=_ROWS, TILE=tile
    )
    return update
