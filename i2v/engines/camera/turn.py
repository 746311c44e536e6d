"""Rotation by two shears, each of which shifts rows or columns by parts of a pixel with a filter of ten taps.

A frame's axes (u, v) and the level's (x, y) are related by a rotation R, and R = H V D: shears H along x and
V along y, and a diagonal D. So the level is sheared, and `resample` scales what comes out by D (Catmull and
Smith 1980, doi:10.1145/965105.807505). All filtering against aliasing happens there. Deliberately does not
know colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2v.engines.camera.level import MIN_DENSITY, Box, Level
from i2v.engines.camera.resample import Floats, Taps, lanczos, lanczos_taps, reach
from i2v.engines.camera.workers import Workers

_LOBES = 5  # at the level's density, what so sharp a filter takes away the frame's own filter takes away too
_TAPS = 2 * _LOBES
_TILE = 128  # rows that are transposed at a time: they stay in the cache
UPRIGHT = 1e-7  # degrees: less moves no pixel of the largest frame by a hundred-thousandth of one


def quarter_turns(roll: float) -> tuple[int, float]:
    """Return clockwise quarter turns (0 to 3) and the degrees, -45 to 45, that are left of `roll`."""
    quarters = round(roll / 90)
    return quarters % 4, roll - 90 * quarters


def min_density(roll: float) -> float:
    """Return how many of the level's pixels there must be to a frame's.

    Near 45 degrees the shears raise frequencies so far that fine rings come out at 41 dB with `MIN_DENSITY`;
    with 2, and with less of a turn, they are at 50 dB and above.
    """
    return MIN_DENSITY if abs(quarter_turns(roll)[1]) <= 25 else 2.0


@dataclass(frozen=True)
class Shears:
    """How a frame is cut from a level that is turned clockwise by -45 to 45 degrees.

    The canvas is the sheared level about the view's centre, at the level's density. All lengths are pixels of
    it.

    Attributes:
        x, y: the view's centre in the level.
        along_x, along_y: what H adds to x for each y, and V to y for each u.
        step_x, step_y: a pixel of the frame on the canvas: the diagonal of D.
        size: (width, height) of the frame in its own pixels.
    """

    x: float
    y: float
    along_x: float
    along_y: float
    step_x: float
    step_y: float
    size: tuple[int, int]

    @property
    def width(self) -> int:
        return math.ceil(self.size[0] * self.step_x) + 2 * reach(self.step_x)

    @property
    def height(self) -> int:
        return math.ceil(self.size[1] * self.step_y) + 2 * reach(self.step_y)

    @property
    def box(self) -> Box:
        """What of the level the canvas is made of."""
        half_width, half_height = self.width / 2, self.height / 2 + _TAPS
        # x = u + along_x * y and y = v + along_y * u, where |u| <= half_width and |v| <= half_height
        dx = half_width * (1 + self.along_x * self.along_y) + half_height * abs(self.along_x) + _TAPS
        dy = half_height + half_width * abs(self.along_y)
        return Box(
            math.floor(self.x - dx), math.floor(self.y - dy), math.ceil(self.x + dx), math.ceil(self.y + dy)
        )

    @property
    def taps(self) -> tuple[Taps, Taps]:
        """Return the frame's taps on the canvas, along u and along v."""
        first_u = (self.width - self.size[0] * self.step_x) / 2
        first_v = (self.height - self.size[1] * self.step_y) / 2
        return (
            lanczos_taps(self.size[0], self.step_x, first_u, self.width),
            lanczos_taps(self.size[1], self.step_y, first_v, self.height),
        )


def shears_for(x: float, y: float, scale: float, degrees: float, size: tuple[int, int]) -> Shears:
    """Return the shears for a view: its centre, and a pixel of the frame (`scale`), in the level's pixels."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return Shears(
        x, y, along_x=sin / cos, along_y=-sin * cos, step_x=scale / cos, step_y=scale * cos, size=size
    )


class Canvas:
    """A sheared level. Its rows are shifted at once, its columns when `load` asks for them."""

    def __init__(self, level: Level, shears: Shears, workers: Workers) -> None:
        """Args:
        level: holds `shears.box`.
        """
        top, bottom = shears.box.top, shears.box.bottom
        us = np.arange(shears.width, dtype=np.float64) - (shears.width - 1) / 2
        ys = np.arange(top, bottom, dtype=np.float64) + 0.5 - shears.y
        shifts = _Shifts(shears.x + us[0] + shears.along_x * ys - 0.5 - level.box.left)
        first, last = _needed(ys, shears)
        pixels = level.pixels[top - level.box.top : bottom - level.box.top]
        # (rows, 3, width) and how its columns are shifted; what is not filled here does not count.
        self._rows = np.zeros((bottom - top, 3, shears.width), np.float32)
        self._shifts = _Shifts(shears.y - (shears.height - 1) / 2 + shears.along_y * us - 0.5 - top)
        self._height = shears.height

        def shift_rows(rows: range) -> None:
            lines, samples = _lines(1, pixels.shape[2])
            for row in rows:
                samples[0] = pixels[row]
                some = slice(first[row], last[row])
                self._rows[row, :, some] = shifts.apply(row, lines[0], first[row], last[row])

        workers.spread(len(self._rows), shift_rows)

    def load(self, column: int, row: int, out: Floats) -> None:
        """Fill `out` (n, 3, height or more) with n of the canvas's columns, from `row` on down."""
        lines, samples = _lines(len(out), len(self._rows))
        for top in range(0, len(self._rows), _TILE):
            tile = self._rows[top : top + _TILE, :, column : column + len(out)]
            samples[:, :, top : top + _TILE] = tile.transpose(2, 1, 0)
        last = min(self._height, row + out.shape[2])
        for index, line in enumerate(lines):
            out[index, :, : last - row] = self._shifts.apply(column + index, line, row, last)


def _needed(ys: NDArray[np.float64], shears: Shears) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first column, and one past the last, that the canvas takes of the rows at `ys`."""
    reach_v = shears.height / 2 + _LOBES + 1
    bounds = np.sort(np.stack([ys - reach_v, ys + reach_v]) / shears.along_y, axis=0)
    bounds = np.clip(bounds + (shears.width - 1) / 2, -1, shears.width)
    first = np.clip(np.ceil(bounds[0]), 0, shears.width).astype(np.intp)
    last = np.clip(np.floor(bounds[1]) + 1, 0, shears.width).astype(np.intp)
    return first, np.maximum(first, last)


def _lines(count: int, length: int) -> tuple[Floats, Floats]:
    """Return lines (count, 3 * length + 9), each to be filtered in one go, and a view of their samples.

    The samples are (count, 3, length).
    """
    lines = np.zeros((count, 3 * length + _TAPS - 1), np.float32)
    return lines, lines[:, : 3 * length].reshape(count, 3, length)


class _Shifts:
    """How far each of some lines is shifted."""

    def __init__(self, starts: NDArray[np.float64]) -> None:
        """Args:
        starts: where in each line the shifted one begins, in samples from its first.
        """
        whole = np.floor(starts)
        weights = lanczos(np.arange(1 - _LOBES, _LOBES + 1) - (starts - whole)[:, None], _LOBES)
        self._weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        self._begins = whole.astype(int) + 1 - _LOBES

    def apply(self, index: int, line: Floats, first: int, last: int) -> Floats:
        """Return samples `first` to `last`, excluded, of the shifted line: (3, last - first)."""
        filtered = np.correlate(line, self._weights[index], "valid").reshape(3, -1)
        begin = self._begins[index]
        if last > first and (begin + first < 0 or begin + last + _TAPS - 1 > filtered.shape[1]):
            raise ValueError(f"samples {begin + first} to {begin + last} of {filtered.shape[1]} are needed")
        return filtered[:, begin + first : begin + last]
