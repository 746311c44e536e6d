"""Lines of text in a picture: captions, watermarks, pages. Rough, but hardly ever wrong about a photograph.

Letters are strokes thinner than a few pixels that stand out from what surrounds them. Strokes of letter size
are joined along their rows, as in run-length smoothing (Wong, Casey and Wahl 1982); what comes out long and
flat is judged by how alike its strokes are. Deliberately does not know what the text says, nor who is told.

Meant for pictures of up to 640 pixels a side. Everything works on runs: stretches of stroke in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_STROKE = 6  # pixels: strokes up to twice as wide are seen
_CONTRAST = 18  # grey values by which a stroke stands out at least
_HEIGHTS = (10, 16, 25, 40)  # of lines, in pixels; one that is between two is found by one of them

# Of a line's score: by logistic regression on the likeliest lines in photographs without text and with text
# drawn on them, rounded; the threshold is above the lines in 98 of 100 photographs without.
_BY_COUNT, _BY_FILL, _BY_SHADE, _BY_RELIEF, _BY_CONTRAST, _BY_MARGIN = 2.3, 6.0, -0.5, -2.9, 1.5, -1.5
_THRESHOLD = 16.0


@dataclass(frozen=True)
class Runs:
    """Stretches of set pixels, sorted by row, then column: pixels `start` to `end` - 1 of `row`."""

    row: Ints
    start: Ints
    end: Ints

    @property
    def length(self) -> Ints:
        return self.end - self.start

    def take(self, which: Mask) -> Runs:
        return Runs(self.row[which], self.start[which], self.end[which])


@dataclass(frozen=True)
class Parts:
    """Connected sets of runs: `of` has the part of each run; the rest is by part, boxes half-open."""

    of: Ints
    top: Ints
    bottom: Ints
    left: Ints
    right: Ints
    area: Ints

    @property
    def height(self) -> Ints:
        return self.bottom - self.top

    @property
    def width(self) -> Ints:
        return self.right - self.left


def text_share(grey: Bytes) -> float:
    """Return the share, 0 to 1, of the picture `grey` (H, W) that lines of text cover."""
    covered = np.zeros(grey.shape, bool)
    for bright in (grey, 255 - grey):  # light letters, then dark ones
        for top, bottom, left, right in _find_lines(bright):
            covered[top:bottom, left:right] = True
    return float(covered.mean())


def _find_lines(grey: Bytes) -> list[tuple[int, int, int, int]]:
    """Return (top, bottom, left, right) of each line of letters that are lighter than what is around them."""
    opened = _slide(_slide(grey, _STROKE, np.minimum), _STROKE, np.maximum)
    relief = grey - opened
    # Next to strong strokes weak ones are texture.
    strokes = (relief >= _CONTRAST) & (2 * relief.astype(np.int16) >= _slide(relief, 2 * _STROKE, np.maximum))
    runs = _runs(strokes)
    if len(runs.row) == 0:
        return []
    letters = _connect(runs)
    shade = _highest(grey, runs, letters)
    standing = _highest(relief, runs, letters)
    summed = np.pad(strokes.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return [box for size in _HEIGHTS for box in _lines_of(size, runs, letters, shade, standing, summed)]


def _lines_of(
    size: int, runs: Runs, letters: Parts, shade: Floats, relief: Floats, summed: Ints
) -> list[tuple[int, int, int, int]]:
    """Return the lines about `size` pixels high.

    Args:
        shade, relief: of each letter, its highest grey value and how far it stands out, 0 to 255.
        summed: (H + 1, W + 1), how many pixels of stroke are above and to the left.
    """
    usual = (letters.height >= 0.2 * size) & (letters.height <= 1.5 * size)
    usual &= (letters.width <= 3.2 * size) & (letters.area >= 0.03 * size**2)
    kept = usual[letters.of]
    if not kept.any():
        return []
    smeared, smear = _smear(runs.take(kept), 0.9 * size)
    lines = _connect(smeared)
    member, first = np.unique(letters.of[kept], return_index=True)
    line = lines.of[smear[first]]  # of each member
    count = np.bincount(line, minlength=len(lines.top))
    area = letters.area[member]
    spread_shade, _ = _spread(shade[member], area, line, len(count))
    spread_relief, mean_relief = _spread(relief[member], area, line, len(count))
    score = (
        _BY_COUNT * np.log(np.maximum(count, 1))
        + _BY_FILL * lines.area / (lines.height * lines.width)
        + _BY_SHADE * np.log1p(spread_shade)
        + _BY_RELIEF * spread_relief / np.maximum(mean_relief, 1)
        + _BY_CONTRAST * np.log(np.maximum(mean_relief, 1))
        + _BY_MARGIN * _margin(lines, summed)
    )
    found = (score > _THRESHOLD) & (lines.height >= 0.6 * size) & (lines.height <= 1.6 * size)
    found &= lines.width >= 2.5 * lines.height
    boxes = np.stack([lines.top, lines.bottom, lines.left, lines.right], axis=1)[found]
    return [(int(top), int(bottom), int(left), int(right)) for top, bottom, left, right in boxes]


def _margin(lines: Parts, summed: Ints) -> Floats:
    """Return how dense strokes are just above and below each line, by how dense they are in it."""
    pad = np.maximum(2, np.rint(0.25 * lines.height).astype(np.int64))
    height = len(summed) - 1

    def density(top: Ints, bottom: Ints) -> Floats:
        top, bottom = np.maximum(top, 0), np.minimum(bottom, height)
        strokes = summed[bottom, lines.right] - summed[top, lines.right]
        strokes -= summed[bottom, lines.left] - summed[top, lines.left]
        share: Floats = strokes / np.maximum((bottom - top) * lines.width, 1)
        return share

    around = (density(lines.top - pad, lines.top) + density(lines.bottom, lines.bottom + pad)) / 2
    relative: Floats = np.minimum(around / density(lines.top, lines.bottom), 6.0)
    return relative


def _spread(values: Floats, weights: Ints, group: Ints, groups: int) -> tuple[Floats, Floats]:
    """Return the weighted standard deviation and mean of the values in each group."""
    total = np.maximum(np.bincount(group, weights, groups), 1)
    mean = np.bincount(group, weights * values, groups) / total
    variance = np.bincount(group, weights * (values - mean[group]) ** 2, groups) / total
    return np.sqrt(variance), mean


def _slide(values: Bytes, radius: int, pick: Callable[[Bytes, Bytes], Bytes]) -> Bytes:
    """Return the `pick` of the square around each pixel, edges repeated, in steps of doubling width."""
    for _ in range(2):
        wide, done = np.pad(values, ((radius, radius), (0, 0)), mode="edge"), 1
        while done < 2 * radius + 1:
            step = min(done, 2 * radius + 1 - done)
            wide = pick(wide[:-step], wide[step:])
            done += step
        values = np.ascontiguousarray(wide.T)
    return values


def _runs(mask: Mask) -> Runs:
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1).ravel()
    start, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return Runs(start // (width + 1), start % (width + 1), end % (width + 1))


def _connect(runs: Runs) -> Parts:
    """Join runs that touch, if only at a corner, in neighbouring rows."""
    stride = int(runs.end.max()) + 2  # places in one row do not reach into the next
    first, last = runs.row * stride + runs.start, runs.row * stride + runs.end
    begin = np.searchsorted(last, first + stride, "left")
    touching = np.maximum(np.searchsorted(first, last + stride, "right") - begin, 0)
    upper = np.repeat(np.arange(len(first)), touching)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(touching) - touching - begin, touching)
    root = np.arange(len(first))
    while (root[upper] != root[lower]).any():
        least = np.minimum(root[upper], root[lower])
        np.minimum.at(root, root[upper], least)
        np.minimum.at(root, root[lower], least)
        while (root != root[root]).any():
            root = root[root]
    _, of = np.unique(root, return_inverse=True)
    count = int(of.max()) + 1

    def extreme(pick: np.ufunc, values: Ints, start: int) -> Ints:
        found = np.full(count, start)
        pick.at(found, of, values)
        return found

    return Parts(
        of,
        top=extreme(np.minimum, runs.row, stride * len(first)),
        bottom=extreme(np.maximum, runs.row + 1, 0),
        left=extreme(np.minimum, runs.start, stride),
        right=extreme(np.maximum, runs.end, 0),
        area=np.bincount(of, runs.length).astype(np.int64),
    )


def _smear(runs: Runs, gap: float) -> tuple[Runs, Ints]:
    """Join the runs of a row that are at most `gap` pixels apart; return also which one each went into."""
    apart = (runs.row[1:] != runs.row[:-1]) | (runs.start[1:] - runs.end[:-1] > gap)
    begins, ends = np.append(True, apart), np.append(apart, True)
    return Runs(runs.row[begins], runs.start[begins], runs.end[ends]), np.cumsum(begins) - 1


def _highest(values: Bytes, runs: Runs, parts: Parts) -> Floats:
    """Return the highest value (H, W) in each part."""
    width = values.shape[1]
    edges = np.stack([runs.row * width + runs.start, runs.row * width + runs.end], axis=1).ravel()
    by_run = np.maximum.reduceat(np.append(values.ravel(), 0), edges)[::2]
    highest = np.zeros(len(parts.top))
    np.maximum.at(highest, parts.of, by_run)
    return highest
