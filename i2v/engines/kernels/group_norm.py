"""Group norm and SiLU of channels-last tensors, in Triton: two reads and one write, and no copy.

A sample is (L, C) in memory, L pixels or frames times pixels, so a group is a few channels of every row.
Programs read whole lines of 64 channels and keep each channel's statistics; the rows are split until there is
work for all multiprocessors. Statistics are float32: Welford's means and squared deviations (1962), merged by
Chan's rule (1983), so that a mean far from zero costs no digits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_TILE = 64  # channels of a program: 128 bytes of half precision, a line of the cache
_STATISTICS_ROWS = 32  # rows that a program takes at a time
_NORMALISED_ROWS = 64
_MERGED_PARTS = 8
_MAX_PARTS = 64  # of a sample's rows: one program merges them
_PROGRAMS = 8  # for each multiprocessor: they wait for memory in turn


@triton.jit
def _statistics(
    picture, bias, partial, length, channels, part_rows,
    HAS_BIAS: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Write mean and squared deviations of each channel over one part of a sample: (N, parts, 2, C)."""
    tiles = tl.cdiv(channels, TILE)
    tile = tl.program_id(0) % tiles
    part = tl.program_id(0) // tiles
    parts = tl.num_programs(0) // tiles
    sample = tl.program_id(1)
    columns = tile * TILE + tl.arange(0, TILE)
    is_channel = columns < channels
    first = part * part_rows
    count = tl.minimum(part_rows, length - first)
    lanes = tl.arange(0, ROWS)
    source = picture + (sample.to(tl.int64) * length + first) * channels
    shift = tl.zeros([TILE], tl.float32)
    if HAS_BIAS:
        shift = tl.load(bias + columns, mask=is_channel, other=0.0).to(tl.float32)
    # Each lane has a mean of its own over every ROWS-th row: no lane waits for another until the end
    means = tl.zeros([ROWS, TILE], tl.float32)
    squares = tl.zeros([ROWS, TILE], tl.float32)
    seen = 0.0
    for start in range(0, count, ROWS):
        rows = start + lanes
        mask = (rows < count)[:, None] & is_channel[None, :]
        offsets = rows.to(tl.int64)[:, None] * channels + columns[None, :]
        values = tl.load(source + offsets, mask=mask, other=0.0).to(tl.float32) + shift[None, :]
        seen += 1.0
        deviation = tl.where(mask, values - means, 0.0)
        means += deviation / seen
        squares += deviation * tl.where(mask, values - means, 0.0)
    counts = tl.maximum((count - lanes + ROWS - 1) // ROWS, 0).to(tl.float32)[:, None]
    mean = tl.sum(means * counts, 0) / count
    between = means - mean[None, :]
    total = tl.sum(squares + counts * between * between, 0)
    target = partial + (sample * parts + part) * 2 * channels + columns
    tl.store(target, mean, mask=is_channel)
    tl.store(target + channels, total, mask=is_channel)


@triton.jit
def _merge(
    partial, merged, length, channels, group_channels, parts, part_rows, eps,
    PARTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write mean and 1 / deviation of each group: (N, groups, 2)."""
    group = tl.program_id(0)
    sample = tl.program_id(1)
    inside = tl.arange(0, CHANNELS)
    columns = (group * group_channels + inside)[None, :]
    is_channel = (inside < group_channels)[None, :]
    count = length.to(tl.float32) * group_channels
    sums = tl.zeros([PARTS, CHANNELS], tl.float32)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS)
        mask = (part < parts)[:, None] & is_channel
        offsets = (sample * parts + part)[:, None] * 2 * channels + columns
        rows = tl.minimum(part_rows, length - part * part_rows).to(tl.float32)[:, None]
        sums += tl.load(partial + offsets, mask=mask, other=0.0) * rows
    mean = tl.sum(tl.sum(sums, 1), 0) / count
    sums = tl.zeros([PARTS, CHANNELS], tl.float32)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS)
        mask = (part < parts)[:, None] & is_channel
        offsets = (sample * parts + part)[:, None] * 2 * channels + columns
        rows = tl.minimum(part_rows, length - part * part_rows).to(tl.float32)[:, None]
        between = tl.where(mask, tl.load(partial + offsets, mask=mask, other=0.0) - mean, 0.0)
        sums += tl.load(partial + offsets + channels, mask=mask, other=0.0) + rows * between * between
    target = merged + (sample * tl.num_programs(0) + group) * 2
    tl.store(target, mean)
    tl.store(target + 1, 1.0 / tl.sqrt(tl.sum(tl.sum(sums, 1), 0) / count + eps))


@triton.jit
def _normalise(
    picture, bias, weight, offset, merged, result, length, channels, group_channels, groups,
    HAS_BIAS: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(channels, TILE)
    columns = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    is_channel = columns < channels
    first = (tl.program_id(0) // tiles) * ROWS
    sample = tl.program_id(1)
    rows = tl.arange(0, ROWS)
    mask = (first + rows < length)[:, None] & is_channel[None, :]
    start = (sample.to(tl.int64) * length + first) * channels
    offsets = rows[:, None] * channels + columns[None, :]
    statistics = merged + (sample * groups + columns // group_channels) * 2
    mean = tl.load(statistics, mask=is_channel, other=0.0)
    scale = tl.load(statistics + 1, mask=is_channel, other=0.0)
    scale *= tl.load(weight + columns, mask=is_channel, other=0.0).to(tl.float32)
    added = tl.load(offset + columns, mask=is_channel, other=0.0).to(tl.float32)
    values = tl.load(picture + start + offsets, mask=mask, other=0.0).to(tl.float32)
    if HAS_BIAS:
        values += tl.load(bias + columns, mask=is_channel, other=0.0).to(tl.float32)[None, :]
    values = (values - mean[None, :]) * scale[None, :] + added[None, :]
    if SILU:
        values = values / (1.0 + tl.exp(-values))
    tl.store(result + start + offsets, values.to(result.dtype.element_ty), mask=mask)


def group_norm(
    picture: torch.Tensor,
    groups: int,
    weight: torch.Tensor,
    offset: torch.Tensor,
    eps: float,
    bias: torch.Tensor | None,
    silu: bool,
    multiprocessors: int,
) -> torch.Tensor:
    """See `plain.Operations.group_norm`; `picture` (N, C, h, w) must be channels-last in memory."""
    samples, channels, height, width = picture.shape
    length, group_channels = height * width, channels // groups
    tile = min(_TILE, triton.next_power_of_2(channels))
    tiles = triton.cdiv(channels, tile)
    parts, part_rows = split(length, samples * tiles, multiprocessors)
    partial = picture.new_empty((samples, parts, 2, channels), dtype=torch.float32)
    merged = picture.new_empty((samples, groups, 2), dtype=torch.float32)
    result = torch.empty_like(picture, memory_format=torch.channels_last)
    _statistics[(tiles * parts, samples)](
        picture, bias, partial, length, channels, part_rows,
        HAS_BIAS=bias is not None, ROWS=_STATISTICS_ROWS, TILE=tile,
    )  # fmt: skip
    _merge[(groups, samples)](
        partial, merged, length, channels, group_channels, parts, part_rows, eps,
        PARTS=_MERGED_PARTS, CHANNELS=triton.next_power_of_2(group_channels),
    )  # fmt: skip
    _normalise[(tiles * triton.cdiv(length, _NORMALISED_ROWS), samples)](
        picture, bias, weight, offset, merged, result, length, channels, group_channels, groups,
        HAS_BIAS=bias is not None, SILU=silu, ROWS=_NORMALISED_ROWS, TILE=tile,
    )  # fmt: skip
    return result


def split(length: int, programs: int, multiprocessors: int) -> tuple[int, int]:
    """Return the number of parts of `length` rows, and the rows of each but the last, which is not empty.

    Args:
        programs: that there are with one part.
    """
    wanted = -(-_PROGRAMS * multiprocessors // programs)
    parts = max(1, min(wanted, _MAX_PARTS, length // _STATISTICS_ROWS))
    rows = -(-length // parts)
    return -(-length // rows), rows
