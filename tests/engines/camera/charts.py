"""Patterns with an exact value at every point, photographs of them, and frames of them by the definition.

A reference frame is a sum over samples far finer than the photograph's pixels, weighted with the Lanczos
window about each of its pixels, in float64: no levels, no shears, no tables.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.engines.camera.path import View

Floats = NDArray[np.float64]
Pattern = Callable[[Floats, Floats], Floats]  # linear light, 0 to 1, at points of the photograph

LOBES = 3


def to_srgb(linear: Floats) -> Floats:
    """Return sRGB, 0 to 255, not rounded, of linear light."""
    light = np.clip(linear, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def to_linear(srgb: NDArray[np.uint8]) -> Floats:
    values = srgb / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def photograph(pattern: Pattern, width: int, height: int) -> Image.Image:
    """Return what a camera with ideal pixels sees of a pattern that its pixels can hold."""
    y, x = np.mgrid[:height, :width] + 0.5
    grey = np.rint(to_srgb(pattern(x, y))).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))


def zone_plate(centre: tuple[float, float], radius: float, highest: float = 0.45) -> Pattern:
    """Return rings about `centre`, up to `highest` cycles a pixel at `radius`, and grey beyond."""

    def pattern(x: Floats, y: Floats) -> Floats:
        square = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        fading = np.clip((radius - np.sqrt(square)) / (radius / 8), 0, 1)
        return 0.4 + 0.35 * fading * np.cos(np.pi * highest / radius * square)

    return pattern


def grid(period: float) -> Pattern:
    """Return fine crossed lines: two cosines."""

    def pattern(x: Floats, y: Floats) -> Floats:
        return 0.4 + 0.17 * (np.cos(2 * np.pi * x / period) + np.cos(2 * np.pi * y / period))

    return pattern


def reference(pattern: Pattern, view: View, size: tuple[int, int], finer: int = 4) -> Floats:
    """Return a frame of `pattern` by definition, in sRGB from 0 to 255, not rounded: (height, width).

    finer: samples to a pixel of the photograph, or of the frame where those are smaller.
    """
    step = min(1, view.scale) / finer / view.scale  # of the samples, in pixels of the frame
    samples_x, weights_x = _window(size[0], step)
    samples_y, weights_y = _window(size[1], step)
    u, v = np.meshgrid(samples_x * view.scale, samples_y * view.scale)
    turn = np.radians(view.roll)
    x = view.x + np.cos(turn) * u + np.sin(turn) * v
    y = view.y + np.cos(turn) * v - np.sin(turn) * u
    return to_srgb(weights_y @ pattern(x, y) @ weights_x.T)


def _window(count: int, step: float) -> tuple[Floats, Floats]:
    """Return samples about the frame's centre, in its pixels, and each pixel's weights of them."""
    centres = np.arange(count) - (count - 1) / 2
    reach = count / 2 + LOBES + 1
    samples = np.arange(-reach, reach, step)
    offsets = samples - centres[:, None]
    weights = np.where(np.abs(offsets) < LOBES, np.sinc(offsets) * np.sinc(offsets / LOBES), 0)
    return samples, weights / weights.sum(axis=1, keepdims=True)


def decibels(frame: NDArray[np.uint8], expected: Floats) -> float:
    """Return the peak signal-to-noise ratio of a grey frame (height, width, 3)."""
    error = np.mean((frame[..., 0] - expected) ** 2)
    return float(10 * np.log10(255**2 / error))
