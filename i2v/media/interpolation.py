"""A clip at a higher frame rate: frames computed between those that there are.

Owns which frame is shown when, the methods, and the guard against mixing two scenes. The clip keeps its
length, and every frame that falls on a time of the new rate stays as it is. Frames come and go one by one:
two of them are held at a time, and of a loop the first one. Which method a clip is made with, and where
frames come from, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.schema import InterpolationName
from i2v.media.optical_flow import Flow, estimate_flow

Frame = NDArray[np.uint8]  # (height, width, 3), RGB

# A cut is a difference between two frames, and a rise of it, of that share of white: as ffmpeg's `scdet` has
# it (https://ffmpeg.org/ffmpeg-filters.html#scdet-1). Measured on small frames: there, motion changes little.
CUT = 0.10
CUT_SIDE = 64  # pixels, of those
CELL = 8  # pixels, of the mesh by which a frame is bent
# For each pixel of a frame between two, and of a pair: on one core of a server, measured beside other work.
BETWEEN_SECONDS = {"motion": 1e-6, "blend": 5e-8}
PAIR_SECONDS = {"motion": 0.3, "blend": 0.005}  # optical flow is estimated at one size, whatever the frames'


class Between(Protocol):
    """What makes frames between two."""

    def __call__(self, first: Frame, second: Frame, times: list[float]) -> Iterator[Frame]:
        """Yield the frame at each of the `times`, from 0 for `first` to 1 for `second`."""
        ...


class Interpolator:
    """Turns frames at `fps` into frames at `output_fps`. Of a loop, the first frame follows the last one."""

    def __init__(self, method: InterpolationName, fps: int, output_fps: int, is_loop: bool = False) -> None:
        self._between = METHODS[method]
        self._step = Fraction(fps, output_fps)  # of the clip's own frames, from one new frame to the next
        self._next = Fraction(0)  # where the next new frame stands
        self._count = 0  # frames that have come
        self._is_loop = is_loop
        self._first: Frame | None = None
        self._last: Frame | None = None
        self._guard = CutGuard()

    def add(self, frames: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames before the last of `frames`, uint8 (n, h, w, 3), each as (1, h, w, 3)."""
        for frame in frames:
            if self._last is not None:
                yield from self._pair(self._last, frame)
            elif self._is_loop:
                self._first = frame
            self._last, self._count = frame, self._count + 1

    def end(self) -> Iterator[NDArray[np.uint8]]:
        """Yield what is left: the last frame for as long as it was shown before; of a loop, what follows."""
        if self._last is not None and self._first is not None:
            yield from self._pair(self._last, self._first)
        while self._last is not None and self._next < self._count:
            yield self._last[None]
            self._next += self._step

    def _pair(self, first: Frame, second: Frame) -> Iterator[NDArray[np.uint8]]:
        times = []
        while self._next < self._count:
            times.append(float(self._next - (self._count - 1)))
            self._next += self._step
        is_cut = self._guard.is_cut(first, second)
        moving = [] if is_cut else [time for time in times if time > 0]
        made = self._between(first, second, moving) if moving else iter(())
        for time in times:
            if time == 0:
                yield first[None]
            elif is_cut:
                yield (first if time < 0.5 else second)[None]
            else:
                yield next(made)[None]


class CutGuard:
    """Tells where another scene begins; asked of each pair of frames in their order."""

    def __init__(self) -> None:
        self._before = 0.0

    def is_cut(self, first: Frame, second: Frame) -> bool:
        difference = float(np.abs(_small(first) - _small(second)).mean()) / 255
        rise, self._before = difference - self._before, difference
        return min(difference, rise) > CUT


def _small(frame: Frame) -> NDArray[np.float32]:
    grey = Image.fromarray(frame).convert("L")
    return np.asarray(grey.resize((CUT_SIDE, CUT_SIDE), Image.Resampling.BOX), np.float32)


def blend(first: Frame, second: Frame, times: list[float]) -> Iterator[Frame]:
    """Yield cross-fades, which no motion can break; what moves is seen twice."""
    for time in times:
        yield _rounded(_mixed(first.astype(np.float32), second.astype(np.float32), np.float32(time)))


def motion(first: Frame, second: Frame, times: list[float]) -> Iterator[Frame]:
    """Yield frames with what moves at its place in between, by optical flow both ways.

    Each is both frames bent to its time (flow at a time from flow between two: Jiang et al. 2018, "Super
    SloMo", eq. 4) and mixed. Where the two flows do not agree, as where something is uncovered, it is a
    cross-fade.
    """
    forward, backward = estimate_flow(first, second), estimate_flow(second, first)
    size = (first.shape[1], first.shape[0])
    trust = _resized(forward.agreement(backward), size)
    for time in times:
        to_first = Flow((time**2) * backward.vectors - (1 - time) * time * forward.vectors)
        to_second = Flow(((1 - time) ** 2) * forward.vectors - time * (1 - time) * backward.vectors)
        # What is in one of the two alone, at the border, is taken from there.
        shares = [
            np.where(flow.stays_inside(), share, 1e-3)
            for flow, share in ((to_first, 1 - time), (to_second, time))
        ]
        share = _resized((shares[1] / (shares[0] + shares[1])).astype(np.float32), size)
        bent = _mixed(_bend(first, to_first), _bend(second, to_second), share)
        plain = _mixed(first.astype(np.float32), second.astype(np.float32), np.float32(time))
        yield _rounded(_mixed(plain, bent, trust))


METHODS: dict[InterpolationName, Between] = {"motion": motion, "blend": blend}


def _mixed(
    first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float32] | np.float32
) -> NDArray[np.float32]:
    return first + share * (second - first)


def _rounded(frame: NDArray[np.float32]) -> Frame:
    return np.rint(frame).astype(np.uint8)


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return it at (width, height) pixels, as (h, w, 1)."""
    image = Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)[..., None]


def _bend(frame: Frame, flow: Flow) -> NDArray[np.float32]:
    """Return what is at `flow` from each pixel; beyond the border, the border."""
    height, width, _ = frame.shape
    xs, ys = (_edges(side) for side in (width, height))
    x, y = np.meshgrid(xs, ys)
    moved = flow.at(x / width, y / height)
    from_x = np.clip(x + moved[..., 0] * width, 0, width)
    from_y = np.clip(y + moved[..., 1] * height, 0, height)
    corners = np.stack([from_x, from_y], axis=-1)
    quads = np.concatenate(  # top left, bottom left, bottom right, top right
        [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=-1
    ).tolist()
    mesh = [
        ((xs[column], ys[row], xs[column + 1], ys[row + 1]), tuple(quads[row][column]))
        for row in range(len(ys) - 1)
        for column in range(len(xs) - 1)
    ]
    bent = Image.fromarray(frame).transform(
        (width, height), Image.Transform.MESH, mesh, Image.Resampling.BICUBIC
    )
    return np.asarray(bent, np.float32)


def _edges(side: int) -> list[int]:
    """Return where the cells of the mesh begin and end on a side of so many pixels."""
    return [*range(0, side, CELL), side]


def new_frames(generation: Generation) -> int:
    """Return how many frames have to be computed, at the most."""
    made = generation.fresh_frames
    return max(0, -(-made * generation.video_fps // generation.fps) - made)


def guessed_seconds(generation: Generation) -> float:
    """Return about how long it takes to compute them."""
    method = generation.interpolation
    if method is None:
        return 0.0
    pixels = generation.width * generation.height
    each = BETWEEN_SECONDS[method] * pixels * new_frames(generation)
    return each + PAIR_SECONDS[method] * generation.fresh_frames
