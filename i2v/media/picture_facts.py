"""What a picture's pixels tell about how it will do: its size, how sharp it is, whether there is text in it.

Pure: numpy and Pillow, no model. Both measures are rough on purpose, good for advice and for nothing else;
`benchmarks/picture_facts.py` says how often they are right. Deliberately does not know what a model wants,
nor what is told to whom: that is `advice`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.media.lettering import text_share

SIDE = 640  # pixels: the longer side at which pictures are examined

_TILE = 32  # pixels
_EDGE = 3.0  # grey values a pixel: what is less steep is no edge
_SHARP = 1.45  # how much steeper than when blurred by a Gaussian of 1.4 pixels
_HALVINGS = 3

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class PictureFacts:
    """What was found.

    Attributes:
        width, height: of the picture, in pixels.
        sharpness: the longer side, in pixels, that shows all its detail: `SIDE`, or its own if that is less,
            where it is sharp; halved until it looks sharp otherwise.
        text_share: 0 to 1, the share of the picture that lines of text cover.
    """

    width: int
    height: int
    sharpness: int
    text_share: float


def examine(rgb: Image.Image) -> PictureFacts:
    """Return the facts about a picture of any size; takes under a tenth of a second, besides scaling it."""
    grey = _scaled(rgb, SIDE).convert("L")
    return PictureFacts(rgb.width, rgb.height, _sharpness(grey), text_share(np.asarray(grey)))


def _scaled(image: Image.Image, side: float) -> Image.Image:
    scale = min(1.0, side / max(image.size))
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _sharpness(grey: Image.Image) -> int:
    """Return `PictureFacts.sharpness`; a picture without any edge counts as sharp."""
    blurred = False
    for halving in range(_HALVINGS):
        side = max(grey.size) >> halving
        steepness = _steepness(np.asarray(_scaled(grey, side), np.float32))
        if steepness is not None and steepness >= _SHARP:
            return side
        blurred = blurred or steepness is not None
    return max(grey.size) >> (_HALVINGS if blurred else 0)


def _steepness(grey: Grey) -> float | None:
    """Return how much steeper the sharpest edges of `grey` (H, W) are than after a blur of 1.4 pixels.

    It is the ratio of the gradients, which does not depend on contrast (as in Zhuo and Sim 2011): 1 for a
    very blurred picture. The sharpest tenth of the tiles counts, for the background may be soft; and of the
    four directions the worst, for motion leaves the edges along it sharp. `None`: too few edges to tell.
    """
    fine = _smooth(grey, 1)
    pairs = zip(_gradients(fine), _gradients(_smooth(fine, 4)), strict=True)
    worst: list[float] = []
    for before, after in pairs:
        steep = _steepest(before)
        edges = steep > _EDGE
        if edges.sum() >= 4:
            worst.append(float(np.percentile(steep[edges] / _steepest(after)[edges], 90)))
    return min(worst, default=None)


def _smooth(grey: Grey, times: int) -> Grey:
    """Blur by the kernel 1 2 1 in both directions; each time adds a variance of half a pixel squared."""
    for _ in range(times):
        wide = np.pad(grey, 1, mode="edge")
        tall = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        grey = (tall[:, :-2] + 2 * tall[:, 1:-1] + tall[:, 2:]) / 16
    return grey


def _gradients(grey: Grey) -> tuple[Grey, Grey, Grey, Grey]:
    """Return how steep `grey` is downwards, to the right and along both diagonals, in grey values a pixel."""
    up, down, middle = grey[:-2], grey[2:], grey[1:-1]
    diagonal = 2 * np.float32(np.sqrt(2))
    return (
        np.abs(down[:, 1:-1] - up[:, 1:-1]) / 2,
        np.abs(middle[:, 2:] - middle[:, :-2]) / 2,
        np.abs(down[:, 2:] - up[:, :-2]) / diagonal,
        np.abs(down[:, :-2] - up[:, 2:]) / diagonal,
    )


def _steepest(gradient: Grey) -> Grey:
    """Return the mean of the steepest twentieth of each whole tile."""
    rows, columns = gradient.shape[0] // _TILE, gradient.shape[1] // _TILE
    tiles = gradient[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE)
    pixels = tiles.transpose(0, 2, 1, 3).reshape(rows * columns, _TILE * _TILE)
    few = _TILE * _TILE // 20
    means: Grey = np.partition(pixels, -few, axis=1)[:, -few:].mean(axis=1)
    return means
