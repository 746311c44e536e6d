"""Frames of charts, and how far they are from those by definition."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.engines.camera.path import CameraPath, View
from i2v.engines.camera.render import render
from tests.engines.camera.charts import Pattern, decibels, photograph, reference, zone_plate

SIZE = (150, 131)
CENTRE = (350.3, 310.7)
RINGS = zone_plate(CENTRE, 290)
WIDTH, HEIGHT = 700, 620


def along(
    views: Iterable[View], picture: Image.Image, size: tuple[int, int] = SIZE, cpus: int = 1
) -> list[NDArray[np.uint8]]:
    path = CameraPath(tuple(views), picture.size, size, share=1, still_share=1, enlargement=1)
    return list(render(picture, path, cpus))


def errors(views: list[View], pattern: Pattern = RINGS) -> list[float]:
    """Return for each frame of a pattern its peak signal-to-noise ratio in dB."""
    frames = along(views, photograph(pattern, WIDTH, HEIGHT))
    return [
        decibels(frame, reference(pattern, view, SIZE)) for frame, view in zip(frames, views, strict=True)
    ]


def bicubic_errors(views: list[View], pattern: Pattern = RINGS) -> list[float]:
    """Return the same for Pillow's bicubic transform, which does not filter against aliasing."""
    picture = photograph(pattern, WIDTH, HEIGHT)
    found = []
    for view in views:
        cos, sin = np.cos(np.radians(view.roll)) * view.scale, np.sin(np.radians(view.roll)) * view.scale
        x, y = view.x - (cos * SIZE[0] + sin * SIZE[1]) / 2, view.y - (cos * SIZE[1] - sin * SIZE[0]) / 2
        frame = picture.transform(
            SIZE, Image.Transform.AFFINE, (cos, sin, x, -sin, cos, y), Image.Resampling.BICUBIC
        )
        found.append(decibels(np.asarray(frame), reference(pattern, view, SIZE)))
    return found


def worst_decibels(scale: float, roll: float) -> float:
    """Return the worst frame's ratio in a slow pan over fine rings."""
    views = [
        View(CENTRE[0] + scale * part, CENTRE[1] - scale * part / 2, scale, roll) for part in (0, 0.27, 0.5)
    ]
    return min(errors(views))
