"""From a prompt and a request's options to the one move that is made, and what the person should know of it.

Deliberately does not know how prompts are read (`phrases`) or what moves look like (`path`).
"""

from __future__ import annotations

from dataclasses import replace

from i2v.core.errors import Notice
from i2v.engines.camera_move.move import Move, describe
from i2v.engines.camera_move.options import CameraMoveOptions
from i2v.engines.camera_move.phrases import default_move, read_prompt


def resolve_move(prompt: str, options: CameraMoveOptions, seconds: float) -> tuple[Move, tuple[Notice, ...]]:
    """Return the move and the notices about it.

    Args:
        seconds: the clip's length. A prompt says how fast, so how far the camera comes depends on it.
    """
    reading = read_prompt(prompt, seconds, loop=options.loop)
    move, notices = reading.move, reading.notices
    distances = options.model_dump(include={"pan", "tilt", "zoom", "roll"}, exclude_none=True)
    if not (reading.names_motion or distances):
        move = default_move(move, seconds)
        notices += (Notice("camera.default_move", {}),)
    move = replace(move, **distances)
    if options.easing is not None:
        move = replace(move, easing=options.easing)
        if move.loop and not move.is_still:
            notices += (Notice("camera.loop_easing", {"easing": options.easing}),)
    return move, (*describe(move), *notices)
