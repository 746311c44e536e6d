"""A camera move: how far in which direction, and how its speed changes; what is said of it.

Deliberately does not know prompts, pictures or frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from i2v.core.errors import Notice

Easing = Literal["linear", "in", "out", "in-out"]


@dataclass(frozen=True)
class Move:
    """What the camera does in the whole clip. The names and signs are those of the embedded demo model.

    Attributes:
        pan: how far the view travels to the right, in parts of the first frame's width. The content moves to
            the left.
        tilt: how far the view travels up, in parts of the first frame's height. The content moves down.
        zoom: magnification of the last frame over that of the first; above 1 zooms in.
        roll: degrees by which the picture has turned in the last frame, clockwise on the screen.
        easing: how the speed changes: "in" starts slowly, "out" ends slowly, "in-out" both.
        loop: there and back, at a speed that changes like a cosine whatever `easing` says.
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 1.0
    roll: float = 0.0
    easing: Easing = "in-out"
    loop: bool = False

    @property
    def is_still(self) -> bool:
        return (self.pan, self.tilt, self.zoom, self.roll) == (0, 0, 1, 0)


def describe(move: Move) -> tuple[Notice, ...]:
    """Return what the move is, one notice for each direction."""
    if move.is_still:
        return (Notice("camera.still", {}),)
    notices = []
    if move.pan:
        percent = _percent(abs(move.pan))
        notices.append(
            Notice("camera.pan_right" if move.pan > 0 else "camera.pan_left", {"percent": percent})
        )
    if move.tilt:
        percent = _percent(abs(move.tilt))
        notices.append(
            Notice("camera.tilt_up" if move.tilt > 0 else "camera.tilt_down", {"percent": percent})
        )
    if move.zoom != 1:
        percent = _percent(move.zoom)
        notices.append(Notice("camera.zoom_in" if move.zoom > 1 else "camera.zoom_out", {"percent": percent}))
    if move.roll:
        degrees = round(abs(move.roll), 1)
        notices.append(
            Notice(
                "camera.roll_clockwise" if move.roll > 0 else "camera.roll_counterclockwise",
                {"degrees": degrees},
            )
        )
    if move.loop:
        notices.append(Notice("camera.loop", {}))
    return tuple(notices)


def _percent(share: float) -> int:
    return round(100 * share)
