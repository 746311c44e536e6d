"""i2v.media.lettering: the fast steps against simple ones; what it finds is in `test_picture_facts`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from i2v.media.lettering import Runs, _connect, _runs, _slide, _smear, text_share


def random_mask(seed: int) -> NDArray[np.bool_]:
    draw = np.random.default_rng(seed)
    return draw.random((draw.integers(1, 30), draw.integers(1, 30))) < draw.uniform(0.05, 0.8)


def flood(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int, int]]:
    """Return (top, bottom, left, right, area) of each set of pixels that touch, if only at a corner."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    boxes = []
    while left:
        edge = [left.pop()]
        part = []
        while edge:
            row, column = edge.pop()
            part.append((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            edge += near
        rows, columns = zip(*part, strict=True)
        boxes.append((min(rows), max(rows) + 1, min(columns), max(columns) + 1, len(part)))
    return sorted(boxes)


def test_parts_are_those_that_a_flood_finds() -> None:
    for seed in range(40):
        mask = random_mask(seed)
        mask[0, 0] = True  # at least one
        parts = _connect(_runs(mask))
        found = np.stack([parts.top, parts.bottom, parts.left, parts.right, parts.area], axis=1)
        assert sorted(map(tuple, found.tolist())) == flood(mask), seed


@pytest.mark.parametrize("radius", [1, 3, 6])
def test_the_sliding_extremes_are_those_of_each_square(radius: int) -> None:
    values = np.random.default_rng(radius).integers(0, 256, (17, 9), dtype=np.uint8)
    for pick, extreme in ((np.minimum, np.min), (np.maximum, np.max)):
        expected = [
            [
                extreme(
                    values[
                        max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1
                    ]
                )
                for column in range(9)
            ]
            for row in range(17)
        ]
        np.testing.assert_array_equal(_slide(values, radius, pick), expected)


def test_runs_are_joined_over_gaps_within_their_row() -> None:
    runs = Runs(*map(np.array, ([0, 0, 0, 1], [1, 5, 20, 22], [3, 8, 21, 25])))
    joined, into = _smear(runs, 2)
    assert into.tolist() == [0, 0, 1, 2]
    assert (joined.row.tolist(), joined.start.tolist(), joined.end.tolist()) == (
        [0, 0, 1],
        [1, 20, 22],
        [8, 21, 25],
    )


def test_light_and_dark_letters_are_the_same() -> None:
    grey = np.zeros((100, 200), np.uint8)
    for left in range(20, 180, 9):  # letters like I and H
        grey[40:52, left : left + 2] = 255
        grey[40:52, left + 4 : left + 6] = 255
        grey[45:47, left + 2 : left + 4] = 255 if left % 2 else 0
    assert 0.05 < text_share(grey) < 0.2
    assert text_share(255 - grey) == text_share(grey)
