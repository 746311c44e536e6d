"""A move, to what each frame sees of the photograph: fitted so that no border ever shows.

All lengths are pixels of the photograph, from its left and top edges (a pixel's centre is at .5), unless said
otherwise. Deliberately does not know pixels' values or prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from i2v.core.errors import Notice
from i2v.engines.camera.move import Easing, Move

# Below this part of what a still camera would show, the person is told what the move costs.
_NOTEWORTHY_SHARE = 0.8
# Of the picture's height that no frame needs, the part that is cut at the top: heads are near the top.
_TOP_SHARE = 1 / 3
# Of the last picture of a clip that is made longer, what a camera that pans on sees at the least.
_LEAST_ROOM = 0.5


@dataclass(frozen=True)
class View:
    """What one frame sees: a rectangle of the frame's shape about (x, y).

    Attributes:
        scale: pixels of the photograph to a pixel of the frame.
        roll: degrees by which the picture is turned clockwise on the screen.
    """

    x: float
    y: float
    scale: float
    roll: float = 0.0

    def half_extent(self, size: tuple[int, int]) -> tuple[float, float]:
        """Return half the width and height of the upright box around what a frame of `size` pixels sees."""
        width, height = _half_box(size, self.roll)
        return self.scale * width, self.scale * height

    def corners(self, size: tuple[int, int]) -> tuple[float, ...]:
        """Return x and y of what the corners of a frame of `size` see, from its top left clockwise."""
        cos, sin = math.cos(math.radians(self.roll)), math.sin(math.radians(self.roll))
        across, down = self.scale * size[0] / 2, self.scale * size[1] / 2
        corners = ((-across, -down), (across, -down), (across, down), (-across, down))
        return tuple(
            number for x, y in corners for number in (self.x + x * cos + y * sin, self.y - x * sin + y * cos)
        )


@dataclass(frozen=True)
class CameraPath:
    """The views of a clip's frames of `size` (width, height) over a photograph of `picture` (width, height).

    Attributes:
        share: the part of the photograph's width that the widest view shows.
        still_share: what it would be without a move.
        enlargement: pixels of the frame to a pixel of the photograph, in the closest view.
    """

    views: tuple[View, ...]
    picture: tuple[int, int]
    size: tuple[int, int]
    share: float
    still_share: float
    enlargement: float

    def part(self, start: int, num_frames: int, wraps: bool = False) -> CameraPath:
        """Return the path of so many frames from `start` on.

        Before the path begins, its first view is held; where there is no more, the last one is, or the first
        ones come again (`wraps`).
        """
        if start < 0:
            still = min(-start, num_frames)
            views = (self.views[0],) * still + self.part(0, num_frames - still, wraps).views
            return replace(self, views=views)
        views = (self.views * (1 + num_frames // len(self.views) if wraps else 1))[start : start + num_frames]
        return replace(self, views=(*views, *[self.views[-1]] * (num_frames - len(views))))

    @property
    def notices(self) -> tuple[Notice, ...]:
        notices = []
        if self.share < _NOTEWORTHY_SHARE * self.still_share:
            percent, still_percent = round(100 * self.share), round(100 * self.still_share)
            notices.append(Notice("camera.room", {"percent": percent, "still_percent": still_percent}))
        factor = round(self.enlargement, 1)
        if factor > 1:
            notices.append(Notice("camera.enlarged", {"factor": factor}))
        return tuple(notices)


def plan_path(move: Move, num_frames: int, picture: tuple[int, int], size: tuple[int, int]) -> CameraPath:
    """Return the path of `move` that shows as much of the photograph as can be without a border.

    Pan and tilt are along the photograph's edges, whatever the roll. All that a frame sees is linear in the
    first view's scale, so the largest scale that fits follows from the box around all views of scale 1.
    Magnification grows by the same factor in the same time, and the centre moves so that a pan keeps its
    speed on the screen while zooming.

    Args:
        picture, size: (width, height) of the photograph and of a frame, in their own pixels.
    """
    return plan_moves([(move, num_frames)], picture, size)


def plan_moves(
    moves: Sequence[tuple[Move, int]], picture: tuple[int, int], size: tuple[int, int]
) -> CameraPath:
    """Return the path of several moves, so many frames each, each of which begins where the last one ended.

    See `plan_path`, which is that of a single one.
    """
    num_frames = min((count for _, count in moves), default=0)
    if num_frames < 1 or min(*picture, *size) < 1:
        raise ValueError(f"a frame and positive sizes are needed: {num_frames}, {picture}, {size}")
    views = _unit_views(moves, size)
    boxes = [(view.x, view.y, *view.half_extent(size)) for view in views]
    left, right = min(x - w for x, _, w, _ in boxes), max(x + w for x, _, w, _ in boxes)
    top, bottom = min(y - h for _, y, _, h in boxes), max(y + h for _, y, _, h in boxes)
    scale = min(picture[0] / (right - left), picture[1] / (bottom - top))
    x = (picture[0] - scale * (right - left)) / 2 - scale * left
    y = (picture[1] - scale * (bottom - top)) * _TOP_SHARE - scale * top
    scales = [scale * view.scale for view in views]
    still = min(picture[0] / size[0], picture[1] / size[1])
    return CameraPath(
        views=tuple(
            View(x + scale * view.x, y + scale * view.y, scale * view.scale, view.roll) for view in views
        ),
        picture=picture,
        size=size,
        share=max(scales) * size[0] / picture[0],
        still_share=still * size[0] / picture[0],
        enlargement=1 / min(scales),
    )


def plan_onward(
    moves: Sequence[tuple[Move, int]], picture: tuple[int, int], size: tuple[int, int]
) -> CameraPath:
    """Return the path of several moves that begins with all of the picture, where a clip has ended.

    There is nothing beyond it: the camera comes so much closer that it can pan or turn, and where it should
    go back it stays. See `plan_moves` for the arguments.
    """
    whole = min(picture[0] / size[0], picture[1] / size[1])
    views = [_inside(view, whole, picture, size) for view in _unit_views(moves, size)]
    share = whole * size[0] / picture[0]
    closest = min(view.scale for view in views)
    return CameraPath(tuple(views), picture, size, share, share, enlargement=1 / closest)


def _inside(view: View, whole: float, picture: tuple[int, int], size: tuple[int, int]) -> View:
    """Return what comes near a view of scale 1 at (0, 0), in the picture; `whole`: the scale of all of it."""
    room = max(_LEAST_ROOM, 1 - max(abs(view.x) / size[0], abs(view.y) / size[1]))
    width, height = _half_box(size, view.roll)
    upright = min(size[0] / (2 * width), size[1] / (2 * height))
    scale = whole * min(view.scale, 1.0) * room * upright
    across, down = scale * width, scale * height
    return View(
        x=min(max(picture[0] / 2 + whole * view.x, across), picture[0] - across),
        y=min(max(picture[1] / 2 + whole * view.y, down), picture[1] - down),
        scale=scale,
        roll=view.roll,
    )


def _unit_views(moves: Sequence[tuple[Move, int]], size: tuple[int, int]) -> list[View]:
    """Return the views, of which the first is at (0, 0) and has scale 1."""
    start, views = View(0.0, 0.0, 1.0), list[View]()
    for move, count in moves:
        parts = positions(count, move.easing, move.loop)
        if views:  # where the last one ended has been seen
            parts = positions(count + 1, move.easing, move.loop)[1:]
        views += [_after(start, _unit_view(move, part, size)) for part in parts]
        start = _after(start, _unit_view(move, 0.0 if move.loop else 1.0, size))
    return views


def _after(start: View, view: View) -> View:
    """Return a view of scale 1 at (0, 0) and what follows from it as they are after `start`."""
    return View(
        x=start.x + start.scale * view.x,
        y=start.y + start.scale * view.y,
        scale=start.scale * view.scale,
        roll=start.roll + view.roll,
    )


def positions(num_frames: int, easing: Easing, loop: bool) -> list[float]:
    """Return the part of the move that is done in each frame, from 0 to 1.

    A loop follows a cosine there and back; the frame after the last would be the first again. Every curve has
    a continuous speed.
    """
    if loop:
        return [(1 - math.cos(2 * math.pi * index / num_frames)) / 2 for index in range(num_frames)]
    times = [index / max(num_frames - 1, 1) for index in range(num_frames)]
    if easing == "in":
        return [time**2 for time in times]
    if easing == "out":
        return [1 - (1 - time) ** 2 for time in times]
    if easing == "in-out":
        return [(1 - math.cos(math.pi * time)) / 2 for time in times]
    return times


def _unit_view(move: Move, part: float, size: tuple[int, int]) -> View:
    """Return the view when `part` of the move is done; the first is at (0, 0) and has scale 1."""
    rate = math.log(move.zoom)
    # The centre's speed is in proportion to the scale, exp(-rate * part).
    moved = math.expm1(-rate * part) / math.expm1(-rate) if rate else part
    return View(
        x=move.pan * size[0] * moved,
        y=-move.tilt * size[1] * moved,
        scale=math.exp(-rate * part),
        roll=move.roll * part,
    )


def _half_box(size: tuple[int, int], roll: float) -> tuple[float, float]:
    cos, sin = abs(math.cos(math.radians(roll))), abs(math.sin(math.radians(roll)))
    return (size[0] * cos + size[1] * sin) / 2, (size[0] * sin + size[1] * cos) / 2
