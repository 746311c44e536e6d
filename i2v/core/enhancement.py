"""What can be done to a finished clip: frames in between, and a larger size. What is asked, checked once."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from i2v.core.bounds import Within
from i2v.core.errors import InvalidRequest
from i2v.core.schema import MAX_OUTPUT_FPS, Interpolation, RequestModel, Upscaling

MAX_SCALE = 4


class EnhanceRequest(RequestModel):
    """What a person wants of a clip that is there. `upscaler`: `None` means as the settings have it."""

    output_fps: Annotated[int, Within(1, MAX_OUTPUT_FPS)] | None = Field(
        default=None, description="frames a second, more than the clip has: frames between are computed"
    )
    interpolation: Interpolation = Field(default="auto", description="how frames between are computed")
    scale: Annotated[float, Within(1, MAX_SCALE)] = Field(default=1, description="its sides times this")
    upscaler: Upscaling | None = Field(
        default=None, description="what enlarges the frames; none: as the server is set"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.output_fps is None and self.scale == 1:
            raise InvalidRequest("request.nothing_to_enhance")
        return self
