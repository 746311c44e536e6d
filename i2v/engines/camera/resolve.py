"""From a prompt and a request's options to the one move that is made, and what the person should know of it.

Deliberately does not know how prompts are read (`phrases`) or what moves look like (`path`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from i2v.core.errors import Notice
from i2v.engines.camera.move import Easing, Move, describe
from i2v.engines.camera.phrases import default_move, read_prompt


def resolve_move(
    prompt: str, distances: Mapping[str, float], easing: Easing | None, loop: bool | None, seconds: float
) -> tuple[Move, tuple[Notice, ...]]:
    """Return the move and the notices about it.

    Args:
        distances: those of `pan`, `tilt`, `zoom` and `roll` that are given, as `Move` has them.
        easing, loop: `None`: as the prompt says.
        seconds: the clip's length. A prompt says how fast, so how far the camera comes depends on it.
    """
    reading = read_prompt(prompt, seconds, loop=loop)
    move, notices = reading.move, reading.notices
    if not (reading.names_motion or distances):
        move = default_move(move, seconds)
        notices += (Notice("camera.default_move", {}),)
    move = replace(
        move,
        pan=distances.get("pan", move.pan),
        tilt=distances.get("tilt", move.tilt),
        zoom=distances.get("zoom", move.zoom),
        roll=distances.get("roll", move.roll),
    )
    if easing is not None:
        move = replace(move, easing=easing)
        if move.loop and not move.is_still:
            notices += (Notice("camera.loop_easing", {"easing": easing}),)
    return move, (*describe(move), *notices)
