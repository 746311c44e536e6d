"""Where each part of a picture is in the next one: dense optical flow, by Lucas and Kanade's method.

Pyramid and iterations after Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker" (2001),
for every pixel at once, in numpy. Estimated on small grey pictures: motion between frames is smooth. Knows
nothing of clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256  # pixels of the longer side that flow is estimated at
LEAST = 16  # pixels of the shorter side of the smallest picture of the pyramid
ROUNDS = 4  # at each size
RADIUS = 8  # pixels around each that move with it
DAMPING = 4.0  # of squared grey levels: where there is less to see, the flow of the size before stays
HUBER = 10.0  # grey levels
TOLERANCE = 0.004  # of a side: flows there and back that differ by so much are half trusted

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Flow:
    """`vectors`, (h, w, 2): how far each part goes, in x and y, as shares of the width and the height."""

    vectors: NDArray[np.float32]

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the vectors at places from 0 to 1, of the places' shape and two more numbers."""
        height, width, _ = self.vectors.shape
        return _sample(self.vectors, x * width - 0.5, y * height - 0.5)

    def stays_inside(self) -> NDArray[np.bool_]:
        """Return (h, w): whether what is there is in the other picture too."""
        height, width, _ = self.vectors.shape
        y, x = np.mgrid[0:height, 0:width]
        to_x, to_y = (x + 0.5) / width + self.vectors[..., 0], (y + 0.5) / height + self.vectors[..., 1]
        is_inside: NDArray[np.bool_] = (to_x >= 0) & (to_x <= 1) & (to_y >= 0) & (to_y <= 1)
        return is_inside

    def agreement(self, back: Flow) -> NDArray[np.float32]:
        """Return (h, w) from 0 to 1: how well `back` leads from where this leads to where it began.

        Beyond the border nothing can be said against it: 1.
        """
        height, width, _ = self.vectors.shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        moved = self.vectors * np.array([width, height], np.float32)
        returned = _sample(back.vectors, x + moved[..., 0], y + moved[..., 1])
        error = np.square(self.vectors + returned).sum(axis=-1) / TOLERANCE**2
        return np.where(self.stays_inside(), np.exp2(-error), 1).astype(np.float32)


def estimate_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flow:
    """Return where each part of `first` is in `second`, both (h, w, 3)."""
    pyramids = [_pyramid(picture) for picture in (first, second)]
    vectors = np.zeros((*pyramids[0][0].shape, 2), np.float32)
    for small, other in zip(*pyramids, strict=True):
        vectors = _enlarged(vectors, small.shape[1], small.shape[0])
        for _ in range(ROUNDS):
            vectors = vectors + _correction(small, other, vectors)
            vectors = np.stack([_smooth(vectors[..., axis], 1) for axis in range(2)], axis=-1)
    height, width, _ = vectors.shape
    return Flow((vectors / np.array([width, height])).astype(np.float32))


def _pyramid(picture: NDArray[np.uint8]) -> list[Plane]:
    """Return the picture in grey, the smallest first, each twice as large as the one before."""
    grey = Image.fromarray(picture).convert("L")
    scale = min(1.0, SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    sizes = [(width, height)]
    while min(sizes[0]) >= 2 * LEAST:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return [np.asarray(grey.resize(size, Image.Resampling.BOX), np.float32) for size in sizes]


def _enlarged(vectors: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return vectors in pixels for a picture of that size."""
    before = vectors.shape
    if before[:2] == (height, width):
        return vectors
    scaled = [
        np.asarray(Image.fromarray(vectors[..., axis]).resize((width, height), Image.Resampling.BILINEAR))
        for axis in range(2)
    ]
    return np.stack([scaled[0] * (width / before[1]), scaled[1] * (height / before[0])], axis=-1)


def _correction(first: Plane, second: Plane, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what has to be added to `vectors`: least squares over the neighbours of each pixel."""
    height, width = first.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    to_x, to_y = x + vectors[..., 0], y + vectors[..., 1]
    moved = _sample(second[..., None], to_x, to_y)[..., 0]
    is_inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    dy, dx = np.gradient((first + moved) / 2)
    dt = moved - first
    # What differs much is no linear step away, but covered, or noise: it counts less (Huber's weights).
    weight = is_inside * np.minimum(1, HUBER / np.maximum(np.abs(dt), HUBER))
    xx, yy, xy = (_smooth(weight * product, RADIUS) for product in (dx * dx, dy * dy, dx * dy))
    xt, yt = (_smooth(weight * product, RADIUS) for product in (dx * dt, dy * dt))
    xx, yy = xx + DAMPING, yy + DAMPING
    determinant = xx * yy - xy * xy
    found = np.stack([xy * yt - yy * xt, xy * xt - xx * yt], axis=-1) / determinant[..., None]
    return np.clip(found, -2, 2)  # of a linear step, more is no measurement


def _smooth(plane: Plane, radius: int) -> Plane:
    """Return the mean over a square of `2 * radius + 1` pixels a side."""
    for axis in range(2):
        padding = [(radius + 1, radius) if each == axis else (0, 0) for each in range(2)]
        sums = np.cumsum(np.pad(plane, padding, mode="edge"), axis=axis, dtype=np.float64)
        width = 2 * radius + 1
        ahead, behind = (
            np.take(sums, range(width, sums.shape[axis]), axis),
            np.take(sums, range(sums.shape[axis] - width), axis),
        )
        plane = ((ahead - behind) / width).astype(np.float32)
    return plane


def _sample(
    values: NDArray[np.float32], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return (h, w, n) `values` at places in pixels, between their centres linearly; beyond, the border."""
    height, width, _ = values.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[..., None].astype(np.float32), (y - top)[..., None].astype(np.float32)
    upper = values[top, left] + across * (values[top, right] - values[top, left])
    lower = values[bottom, left] + across * (values[bottom, right] - values[bottom, left])
    sampled: NDArray[np.float32] = upper + down * (lower - upper)
    return sampled
