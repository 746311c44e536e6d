"""What only Wan can be asked for, under diffusers' names. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from i2v.core.engine_spec import Options
from i2v.core.schema import Generation, Within


class WanOptions(Options):
    """How the steps are spread over the noise."""

    flow_shift: Annotated[float, Within(1, 20)] = Field(
        default=5.0,
        title="Flow shift",
        description=(
            "How long the steps stay at high noise, where motion and layout are made: 5 is what the model is"
            " published with, about 3 suits small clips, more moves more."
        ),
    )


def options_of(generation: Generation) -> WanOptions:
    """Return the options of a clip of this family."""
    return WanOptions.model_validate(generation.options)
