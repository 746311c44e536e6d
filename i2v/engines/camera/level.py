"""The part of the photograph that some frames see, in linear light, at a density just above the frames'.

Most of the filtering is done once for many frames, and no detail that a frame can show is lost: densities are
a quarter of an octave apart, and a frame takes the coarsest that has `MIN_DENSITY` pixels to each of its own.
That many make its filter the same wherever a pixel falls between others; at the frame's own density, detail
would pulsate in a slow pan. Deliberately does not know moves or frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from i2v.engines.camera.light import CODES
from i2v.engines.camera.resample import Floats, lanczos_taps, resample
from i2v.engines.camera.workers import Workers

MIN_DENSITY = 1.5
_STEPS = 4  # to an octave
_LOBES = (
    5  # a sharper cut-off than the frames' own filter has, made once: what a frame can show passes unchanged
)


@dataclass(frozen=True)
class Box:
    """Pixels from left to right and top to bottom, the last ones excluded; they may lie outside a picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def union(self, other: Box) -> Box:
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def quarter_turned(self) -> Box:
        """Return the box when the picture is turned clockwise by 90 degrees: (x, y) is then at (-y, x)."""
        return Box(-self.bottom, self.left, -self.top, self.right)


@dataclass(frozen=True)
class Level:
    """Linear light of a picture's part.

    Attributes:
        pixels: (height, 3, width) uint16, the codes of `light`.
        box: where they lie, in the level's own pixels from the picture's left and top edges.
    """

    pixels: NDArray[np.uint16]
    box: Box

    def quarter_turned(self) -> Level:
        """Return the level with the picture turned clockwise by 90 degrees."""
        turned = np.ascontiguousarray(np.rot90(self.pixels, -1, axes=(0, 2)))
        return Level(turned, self.box.quarter_turned())


def level_scale(step: int) -> float:
    """Return the pixels of the photograph to a pixel of the level; 1 for step 0, which is the photograph."""
    return math.pow(2, step / _STEPS)


def step_for(scale: float, density: float = MIN_DENSITY) -> int:
    """Return the coarsest level with at least `density` pixels to a frame's pixel.

    scale: pixels of the photograph to a pixel of the frame.
    """
    return math.floor(_STEPS * math.log2(scale / density) + 1e-9)


def build_level(picture: Image, step: int, box: Box, workers: Workers) -> Level:
    """Return a part of an RGB picture at the density of `step`; outside the picture its edge is repeated."""
    scale = level_scale(step)
    height, width = box.bottom - box.top, box.right - box.left
    rows = lanczos_taps(height, scale, box.top * scale, picture.height, _LOBES, repeat_edges=True)
    columns = lanczos_taps(width, scale, box.left * scale, picture.width, _LOBES, repeat_edges=True)
    pixels = np.empty((height, 3, width), np.uint16)
    right = columns.window[1]

    def load(row: int, column: int, out: Floats) -> None:
        part = np.asarray(picture.crop((column, row, right, row + len(out))))
        out[:, :, : right - column] = CODES[part].transpose(0, 2, 1)

    def store(row: int, codes: Floats) -> None:
        np.rint(codes, out=codes)
        np.clip(codes, 0, 2**16 - 1, out=codes)
        pixels[row : row + len(codes)] = codes

    resample(rows, columns, load, store, workers)
    return Level(pixels, box)
