"""A photograph and a path, to frames: one at a time, in linear light, filtered so that nothing shimmers.

Owns which level of the photograph serves which frames. Deliberately does not know prompts, files or videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from i2v.engines.camera.level import Box, Level, build_level, level_scale, step_for
from i2v.engines.camera.light import encode
from i2v.engines.camera.path import CameraPath, View
from i2v.engines.camera.resample import Floats, lanczos_taps, reach, resample
from i2v.engines.camera.turn import (
    UPRIGHT,
    Canvas,
    Shears,
    min_density,
    quarter_turns,
    shears_for,
)
from i2v.engines.camera.workers import Workers

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Stretch:
    """Frames from `start` to `stop`, excluded, that one level serves."""

    start: int
    stop: int
    step: int
    box: Box


def render(picture: Image, path: CameraPath, cpus: int = 1) -> Iterator[Frame]:
    """Return the frames, each (height, width, 3) uint8 in sRGB. Memory does not grow with their number.

    Args:
        picture: RGB, of the size that the path is for. It is only read.
        cpus: threads that share the work on a frame; the frames are the same with any number.
    """
    if picture.mode != "RGB" or picture.size != path.picture:
        raise ValueError(f"an RGB picture of {path.picture} is needed: {picture.mode}, {picture.size}")
    picture.load()
    return _frames(picture, path, Workers(cpus))


def _frames(picture: Image, path: CameraPath, workers: Workers) -> Iterator[Frame]:
    is_still = len(set(path.views)) == 1
    with workers:
        for stretch in plan_stretches(path):
            level = build_level(picture, stretch.step, stretch.box, workers)
            views = path.views[stretch.start : stretch.stop]
            if is_still:
                frame = _draw(level, stretch.step, views[0], path.size, workers)
                yield from (frame.copy() for _ in views)
            else:
                yield from (_draw(level, stretch.step, view, path.size, workers) for view in views)
            del level  # there is never more than one


def plan_stretches(path: CameraPath) -> list[Stretch]:
    """Return which levels serve the frames, in order.

    A new one begins where the density changes, or where the level would be over twice as large as one frame
    needs.
    """
    stretches: list[Stretch] = []
    density = max(min_density(view.roll) for view in path.views)
    for index, view in enumerate(path.views):
        step = step_for(view.scale, density)
        box = _needed(view, step, path.size)
        if stretches and stretches[-1].step == step:
            last = stretches[-1]
            union = last.box.union(box)
            if union.area <= 2 * box.area:
                stretches[-1] = Stretch(last.start, index + 1, step, union)
                continue
        stretches.append(Stretch(index, index + 1, step, box))
    return stretches


def _needed(view: View, step: int, size: tuple[int, int]) -> Box:
    """Return what a view takes of a level."""
    level = level_scale(step)
    x, y, scale = view.x / level, view.y / level, view.scale / level
    quarters, degrees = quarter_turns(view.roll)
    if abs(degrees) < UPRIGHT:
        width, height = (half / level + reach(scale) for half in view.half_extent(size))
        return Box(math.floor(x - width), math.floor(y - height), math.ceil(x + width), math.ceil(y + height))
    for _ in range(quarters):
        x, y = -y, x
    box = shears_for(x, y, scale, degrees, size).box
    for _ in range(-quarters % 4):
        box = box.quarter_turned()
    return box


def _draw(level: Level, step: int, view: View, size: tuple[int, int], workers: Workers) -> Frame:
    x, y, scale = (length / level_scale(step) for length in (view.x, view.y, view.scale))
    quarters, degrees = quarter_turns(view.roll)
    for _ in range(quarters):
        level = level.quarter_turned()
        x, y = -y, x
    frame = np.empty((size[1], size[0], 3), np.uint8)
    if abs(degrees) < UPRIGHT:
        _draw_upright(level, (x, y), scale, frame, workers)
    else:
        _draw_turned(level, shears_for(x, y, scale, degrees, size), frame, workers)
    return frame


def _draw_upright(
    level: Level, centre: tuple[float, float], scale: float, frame: Frame, workers: Workers
) -> None:
    height, width, _ = frame.shape
    pixels, box = level.pixels, level.box
    rows = lanczos_taps(height, scale, centre[1] - height * scale / 2 - box.top, pixels.shape[0])
    columns = lanczos_taps(width, scale, centre[0] - width * scale / 2 - box.left, pixels.shape[2])

    def load(row: int, column: int, out: Floats) -> None:
        part = pixels[row : row + len(out), :, column : column + out.shape[2]]
        out[:, :, : part.shape[2]] = part

    def store(row: int, codes: Floats) -> None:
        frame[row : row + len(codes)] = encode(codes).transpose(0, 2, 1)

    resample(rows, columns, load, store, workers)


def _draw_turned(level: Level, shears: Shears, frame: Frame, workers: Workers) -> None:
    canvas = Canvas(level, shears, workers)
    columns, rows = shears.taps

    def store(column: int, codes: Floats) -> None:
        frame[:, column : column + len(codes)] = encode(codes).transpose(2, 0, 1)

    resample(columns, rows, canvas.load, store, workers)
