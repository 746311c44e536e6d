"""Separable Lanczos resampling as small matrix products: up to 32 outputs at a time along each axis.

The weights of neighbouring outputs make a dense matrix; most of it is zero, and a matrix product is still
several times faster than Pillow's loop over the others. Deliberately does not know colours, levels or frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2v.engines.camera.workers import Workers

_BLOCK = 32
_FINEST = 96  # inputs that the centres of a block's outputs span at most: what is read for it stays small
FRAME_LOBES = 3
_CHUNK = 128  # columns; rows that are multiplied are padded to a multiple of it
# Multiplications above which OpenBLAS starts threads of its own for one product, which then wait for ours.
_SINGLE_THREADED = 2**18

Floats = NDArray[np.float32]
Load = Callable[[int, int, Floats], None]
Store = Callable[[int, Floats], None]


@dataclass(frozen=True)
class Taps:
    """How `count` outputs along one axis are made of inputs.

    Attributes:
        starts: for each block of outputs the first of its inputs.
        weights: (blocks, block, span): row i holds the weights of the block's output i; the last block's rows
            beyond `count` repeat its last output.
    """

    count: int
    starts: NDArray[np.intp]
    weights: Floats

    @property
    def block(self) -> int:
        return int(self.weights.shape[1])

    @property
    def span(self) -> int:
        return int(self.weights.shape[2])

    @property
    def window(self) -> tuple[int, int]:
        """The first of all inputs, and one past the last."""
        return int(self.starts.min()), int(self.starts.max()) + self.span


def lanczos(x: NDArray[np.float64], lobes: int) -> NDArray[np.float64]:
    """Return the Lanczos window's value, not normalised (Duchon 1979, doi:10.1175/1520-0450(1979)018)."""
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


def reach(scale: float, lobes: int = FRAME_LOBES) -> int:
    """Return how many inputs beyond its own edge an output can look at; `scale` inputs to an output."""
    return math.ceil(lobes * max(scale, 1)) + 1


def lanczos_taps(
    count: int, scale: float, first: float, length: int, lobes: int = FRAME_LOBES, repeat_edges: bool = False
) -> Taps:
    """Return the taps of Lanczos resampling along one axis.

    The filter's cut-off is the coarser grid's: the inputs' for `scale` below 1, the outputs' above. The
    weights add up to 1.

    Args:
        scale: inputs to an output.
        first: where the first output's left edge lies, in inputs from the left edge of input 0.
        length: how many inputs there are.
        repeat_edges: beyond them, the first and the last are repeated; otherwise, all that the outputs look
            at (`reach`) must be there.
    """
    stretch = max(scale, 1.0)
    radius = lobes * stretch
    block = max(1, min(_BLOCK, int(_FINEST / scale)))
    outputs = np.minimum(np.arange(-(-count // block) * block), count - 1)
    centres = first + (outputs + 0.5) * scale
    lowest = np.ceil(centres - radius - 0.5).astype(np.intp)
    inputs = lowest[:, None] + np.arange(math.ceil(2 * radius))
    weights = lanczos((inputs + 0.5 - centres[:, None]) / stretch, lobes)
    weights /= weights.sum(axis=1, keepdims=True)
    if repeat_edges:
        inputs = np.clip(inputs, 0, length - 1)
    elif inputs[0, 0] < 0 or inputs[-1, -1] >= length:
        raise ValueError(f"inputs {inputs[0, 0]} to {inputs[-1, -1]} of {length} are needed")
    inputs = inputs.reshape(-1, block, inputs.shape[1])
    span = int((inputs[:, -1, -1] - inputs[:, 0, 0]).max()) + 1
    starts = np.minimum(inputs[:, 0, 0], length - span)
    dense = np.zeros((len(starts), block, span), np.float32)
    places = np.ogrid[: len(starts), :block]
    for tap in range(inputs.shape[2]):  # one at a time: repeated edges meet at the same input
        dense[*places, inputs[..., tap] - starts[:, None]] += weights.reshape(inputs.shape)[..., tap]
    return Taps(count, starts, dense)


def resample(rows: Taps, columns: Taps, load: Load, store: Store, workers: Workers) -> None:
    """Resample three channels, one block of rows at a time.

    Args:
        rows, columns: the taps along the two axes.
        load: is given the index of an input row, the first input column, and a float32 array (span, 3, width)
            to fill; what lies beyond the input's own width may hold any finite numbers.
        store: is given the index of the first output row and float32 (n, 3, columns.count), to keep or
        change. workers: both functions are called in its threads, at once for different rows.
    """
    left, right = columns.window
    width = -(-(right - left) // _CHUNK) * _CHUNK
    across = np.ascontiguousarray(columns.weights.transpose(0, 2, 1))

    def work(blocks: range) -> None:
        source = np.zeros((rows.span, 3, width), np.float32)
        narrow = np.empty((rows.block, 3, width), np.float32)
        result = np.empty((rows.block, 3, len(across) * columns.block), np.float32)
        flat, out = narrow.reshape(-1, width), result.reshape(3 * rows.block, -1)
        for block in blocks:
            load(int(rows.starts[block]), left, source)
            _multiply_rows(rows.weights[block], source, narrow)
            for index, start in enumerate(columns.starts - left):
                np.matmul(
                    flat[:, start : start + columns.span],
                    across[index],
                    out=out[:, index * columns.block : (index + 1) * columns.block],
                )
            first = block * rows.block
            store(first, result[: rows.count - first, :, : columns.count])

    workers.spread(len(rows.starts), work)


def _multiply_rows(weights: Floats, source: Floats, out: Floats) -> None:
    """Fill `out` (n, 3, width) with `weights` (n, span) times `source` (span, 3, width).

    Cut into products so small that OpenBLAS computes each in the calling thread.
    """
    rows, span = weights.shape
    chunk = _CHUNK
    while chunk > 8 and rows * span * chunk > _SINGLE_THREADED:
        chunk //= 2
    np.matmul(
        weights,
        source.reshape(span, -1, chunk).transpose(1, 0, 2),
        out=out.reshape(rows, -1, chunk).transpose(1, 0, 2),
    )
