"""What a request may say of the camera: the move in numbers, and how closely a model follows it.

Deliberately does not know prompts: a field that is None leaves its part of the move to the prompt.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, ClassVar, Self

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.engine_spec import Corners, Options
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.inputs import MotionMask
from i2v.engines.camera.move import Easing, Move
from i2v.engines.camera.path import plan_path
from i2v.engines.camera.phrases import read_prompt
from i2v.engines.camera.resolve import resolve_move

_MOVE = ("pan", "tilt", "zoom", "roll", "easing", "loop")


class CameraOptions(Options):
    """A move in numbers. Where pan, tilt, zoom or roll is given, a prompt without a motion adds none."""

    least_seconds: ClassVar[float] = 0.0  # a shorter clip moves as far as one of this length would

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
        seconds = max(generation.num_frames / generation.fps, self.least_seconds)
        move, notices = resolve_move(generation.prompt, self._distances, self.easing, self.loop, seconds)
        return type(self).model_validate({**self.model_dump(), **asdict(move)}), notices

    def looping(self) -> Self:
        """Have the camera come back to where it began."""
        return self.model_copy(update={"loop": True})

    @property
    def loops(self) -> bool:
        return bool(self.loop)

    def anew(self) -> Self:
        """Have another prompt say where the camera goes."""
        return self.model_copy(update=dict.fromkeys(_MOVE))

    def views(self, num_frames: int, picture: tuple[int, int], size: tuple[int, int]) -> list[Corners]:
        """See `Options.views`: nothing where the camera stands still."""
        if any(getattr(self, name) is None for name in _MOVE) or self.move.is_still:
            return []
        return [view.corners(size) for view in plan_path(self.move, num_frames, picture, size).views]

    @property
    def move(self) -> Move:
        """The move of options that are `completed`; raises `ValidationError` or `TypeError` for others."""
        return Move(**{name: getattr(self, name) for name in _MOVE})

    @property
    def _distances(self) -> dict[str, float]:
        return self.model_dump(include={"pan", "tilt", "zoom", "roll"}, exclude_none=True)


class CameraPathOptions(CameraOptions):
    """The move as a path that a diffusion model follows: the clip starts from frames rendered along it.

    They are noised to `camera_strength` and denoised from there (SDEdit, Meng et al. 2021, arXiv 2108.01073).
    """

    default_strength: ClassVar[float] = 0.7  # nobody has measured one on published weights
    masked_strength: ClassVar[float] = 0.99  # at the most: where only the camera moves, frames are needed
    follows_prompt: ClassVar[bool] = False  # a move that only the prompt names is the model's business

    camera_strength: Annotated[float, Within(0, 1)] | None = Field(
        default=None,
        title="Camera strength",
        description=(
            "How freely the model acts along the camera's path: near 0 it keeps to frames moved exactly as"
            " asked, 1 leaves the motion to the model alone. A motion mask says where it may."
        ),
    )

    @property
    def denoising_strength(self) -> float:
        return 1.0 if self.camera_strength is None else self.camera_strength

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        """Return the whole move where there is one to follow, else that there is none."""
        asked = self.camera_strength
        if _has_mask(generation):
            asked = min(self.masked_strength, 1.0 if asked is None else asked)
        elif asked is None and (self.follows_prompt or self._distances):
            asked = self.default_strength
        if asked is None or asked == 1:
            return self, ()
        if generation.story:  # each scene has a move of its own: see `moves`
            return self.model_copy(update={"camera_strength": asked}), ()
        filled, notices = CameraOptions.completed(self._still(generation), generation)
        return filled.model_copy(update={"camera_strength": asked}), notices

    def moves(self, generation: Generation) -> tuple[tuple[Move, int], ...]:
        """Return the moves that a clip follows and the frames of each: those of a story's scenes.

        Of options that are `completed`.
        """
        if not generation.story:
            return ((self.move, generation.total_frames if generation.loop else generation.num_frames),)
        return tuple(
            (self._move_of(scene.prompt, count, generation), count) for scene, count in generation.new_scenes
        )

    def _move_of(self, prompt: str, num_frames: int, generation: Generation) -> Move:
        scene = replace(generation, prompt=prompt, num_frames=num_frames, story=(), made_frames=0, extends=0)
        return CameraOptions.completed(self._still(scene), scene)[0].move

    def _still(self, generation: Generation) -> Self:
        """Have the camera stand still where a mask needs a path, and no move is asked for."""
        is_named = self._distances or read_prompt(generation.prompt, 1.0).names_motion
        return self if is_named or not _has_mask(generation) else self.model_copy(update={"zoom": 1.0})


def _has_mask(generation: Generation) -> bool:
    return any(isinstance(picture, MotionMask) for picture in generation.inputs)
