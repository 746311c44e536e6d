"""What only AnimateDiff can be asked for, under diffusers' names. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from i2v.core.schema import Generation, Within
from i2v.engines.camera.options import CameraPathOptions


class AnimateDiffOptions(CameraPathOptions):
    """How far the pictures are followed, and the camera's path."""

    controlnet_conditioning_scale: Annotated[float, Within(0, 2)] = Field(
        default=1.0,
        title="Strength of the pictures",
        description=(
            "How closely the clip follows the picture and the keyframes: 1 is usual, less leaves the prompt"
            " more room, 0 ignores them."
        ),
    )


def options_of(generation: Generation) -> AnimateDiffOptions:
    """Return the options of a clip of this family."""
    return AnimateDiffOptions.model_validate(generation.options)
