"""What only Stable Video Diffusion can be asked for, under diffusers' names. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.camera.options import CameraPathOptions

STRONG_MOTION = 180  # above this, clips are likely to fall apart
TRAINED_AREA = 576 * 1024
SMALL = 0.75  # of that area; below it, clips get worse


class SVDOptions(CameraPathOptions):
    """What the model is told beside the picture, and how far each frame is guided."""

    motion_bucket_id: Annotated[int, Within(1, 255)] = Field(
        default=127,
        title="Motion",
        description="How much moves: 1 is almost still, 127 usual. Above 180 clips tend to fall apart.",
    )
    noise_aug_strength: Annotated[float, Within(0, 1)] = Field(
        default=0.02,
        title="Freedom from the picture",
        description="Noise on the picture before it is encoded: more lets the clip leave it, and moves more.",
    )
    min_guidance_scale: Annotated[float, Within(1, 20)] = Field(
        default=1.0,
        title="Guidance, first frame",
        description="Guidance of the first frame; the frames between it and the last one are in between.",
    )
    max_guidance_scale: Annotated[float, Within(1, 20)] = Field(
        default=3.0,
        title="Guidance, last frame",
        description=(
            "Guidance of the last frame: higher keeps later frames closer to the picture. 1 in both switches"
            " guidance off, which takes half the time."
        ),
    )

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        """Return the options with the camera's path, and what of the clip is likely to disappoint."""
        filled, said = super().completed(generation)
        notices = list(said)
        if self.motion_bucket_id > STRONG_MOTION:
            notices.append(
                Notice(
                    "svd.strong_motion",
                    {"motion_bucket_id": self.motion_bucket_id, "limit": STRONG_MOTION},
                )
            )
        width, height = generation.generated_width, generation.generated_height
        if width * height < SMALL * TRAINED_AREA:
            notices.append(Notice("svd.small", {"width": width, "height": height}))
        return filled, tuple(notices)

    @property
    def is_guided(self) -> bool:
        return max(self.min_guidance_scale, self.max_guidance_scale) > 1


def options_of(generation: Generation) -> SVDOptions:
    """Return the options of a clip of this family."""
    return SVDOptions.model_validate(generation.options)
