"""What only AnimateDiff can be asked for, under diffusers' names. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.inputs import StyleImage
from i2v.engines.camera.options import CameraPathOptions

_SCALE = 0.6  # of diffusers' guide to IP-Adapter, with a prompt


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
    ip_adapter_scale: Annotated[float, Within(0, 2)] | None = Field(
        default=None,
        title="Strength of the style picture",
        description=(
            "How much of a style picture's look the clip takes on: 0.6 if left empty, 1 lets it outweigh the"
            " prompt, 0 ignores it. Without a style picture it does nothing."
        ),
    )

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        """Return the options with the style picture's strength where there is such a picture."""
        filled, notices = super().completed(generation)
        if not any(isinstance(picture, StyleImage) for picture in generation.inputs):
            scale = None
        else:
            scale = _SCALE if self.ip_adapter_scale is None else self.ip_adapter_scale
        return filled.model_copy(update={"ip_adapter_scale": scale}), notices


def options_of(generation: Generation) -> AnimateDiffOptions:
    """Return the options of a clip of this family."""
    return AnimateDiffOptions.model_validate(generation.options)
