"""A clip that is longer than an engine makes at once: which frames each of its segments has.

Numbers alone: prompts, pictures and how a segment is made are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

MAX_SCENES = 50
MAX_SECONDS = 600  # of all scenes together


@dataclass(frozen=True)
class Segment:
    """What an engine makes at once.

    Attributes:
        number: from 0.
        scene: the number of the one that it belongs to.
        start: the frame of the story that its first frame is.
        frames: how many of its frames the story has. The first ones of all but the first segment lie over
            the last ones of the segment before.
    """

    number: int
    scene: int
    start: int
    frames: int


def scene_frames(seconds: Sequence[float], fps: int) -> list[int]:
    """Return how many frames scenes of so many seconds have; together they are as long as asked for."""
    ends = [round(end * fps) for end in accumulate(seconds)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def segments_of(
    scenes: Sequence[int], num_frames: int, overlap: int, extends: int = 0
) -> tuple[Segment, ...]:
    """Return the segments of a story whose scenes have so many frames, each at least `overlap`.

    A scene begins with a segment of its own, and its last one is cut where the scene ends.

    Args:
        num_frames: that the engine makes at once.
        overlap: frames that neighbours have in common, 1 to `num_frames` - 1.
        extends: frames that are there before the first of these scenes.
    """
    if not 1 <= overlap < num_frames or min(scenes, default=0) < overlap:
        raise ValueError(
            f"scenes of {overlap} frames and segments of more are needed: {scenes}, {num_frames}"
        )
    found, end = list[Segment](), extends
    for scene, wanted in enumerate(scenes):
        left = wanted
        while left:
            lies_over = overlap if end else 0
            fresh = min(num_frames - lies_over, left)
            found.append(Segment(len(found), scene, end - lies_over, lies_over + fresh))
            end, left = end + fresh, left - fresh
    return tuple(found)
