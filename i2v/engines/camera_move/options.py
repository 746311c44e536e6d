"""What a request may say to this engine alone.

Deliberately does not know prompts: a field that is None leaves its part of the move to the prompt.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Self

from pydantic import Field

from i2v.core.engine_spec import Options
from i2v.core.errors import Notice
from i2v.core.schema import Generation, Within
from i2v.engines.camera_move.move import Easing
from i2v.engines.camera_move.resolve import resolve_move


class CameraMoveOptions(Options):
    """The move in numbers. Where pan, tilt, zoom or roll is given, a prompt without a motion adds none."""

    pan: Annotated[float, Within(-1, 1)] | None = Field(
        default=None,
        title="Pan",
        description=(
            "How far the camera pans to the right, in parts of the first frame's width: 0.25 is a quarter of"
            " it, -0.25 pans left. Empty: as the prompt says."
        ),
    )
    tilt: Annotated[float, Within(-1, 1)] | None = Field(
        default=None,
        title="Tilt",
        description=(
            "How far the camera tilts up, in parts of the first frame's height; a negative number tilts down."
            " Empty: as the prompt says."
        ),
    )
    zoom: Annotated[float, Within(0.25, 4)] | None = Field(
        default=None,
        title="Zoom",
        description=(
            "How much larger things are in the last frame than in the first: 1.2 zooms in by 20 %, 0.8 zooms"
            " out, 1 does neither. Empty: as the prompt says."
        ),
    )
    roll: Annotated[float, Within(-180, 180)] | None = Field(
        default=None,
        title="Roll",
        description=(
            "Degrees by which the picture turns clockwise on the screen; a negative number turns it"
            " counterclockwise. Empty: as the prompt says."
        ),
    )
    easing: Easing | None = Field(
        default=None,
        title="Easing",
        description=(
            "How the speed changes: linear keeps it, in starts slowly, out ends slowly, in-out does both."
            " Empty: as the prompt says, otherwise in-out. A loop has its own."
        ),
    )
    loop: bool | None = Field(
        default=None,
        title="Loop",
        description=(
            "Move there and back, so that the video can be repeated without a jump."
            " Empty: as the prompt says."
        ),
    )

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        """Return the whole move, by the prompt and the clip's length, and what was understood."""
        distances = self.model_dump(include={"pan", "tilt", "zoom", "roll"}, exclude_none=True)
        seconds = generation.num_frames / generation.fps
        move, notices = resolve_move(generation.prompt, distances, self.easing, self.loop, seconds)
        return type(self)(**asdict(move)), notices
