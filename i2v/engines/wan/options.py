"""What only Wan can be asked for, under diffusers' names. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.camera.options import CameraPathOptions


class WanOptions(CameraPathOptions):
    """How the steps are spread over the noise, and where the camera goes."""

    # At flow_shift 5, two fifths of the steps begin at as much noise as 0.7 of the other models' do: three
    # times as much as signal.
    default_strength: ClassVar[float] = 0.4

    flow_shift: Annotated[float, Within(1, 20)] = Field(
        default=5.0,
        title="Flow shift",
        description=(
            "How long the steps stay at high noise, where motion and layout are made: 5 is what the model is"
            " published with, about 3 suits small clips, more moves more."
        ),
    )

    @property
    def euler(self) -> bool:
        """Whether steps are of first order."""
        return False

    @property
    def boundary(self) -> float | None:
        """The noise below which the second expert denoises, as a part of the highest; `None` without one."""
        return None

    def scales(self, guidance_scale: float) -> tuple[float, ...]:
        """Return the guidance of each expert, that of the highest noise first."""
        return (guidance_scale,)


class WanExpertOptions(WanOptions):
    """The same of a model with two experts."""

    guidance_scale_2: Annotated[float, Within(1, 30)] | None = Field(
        default=None,
        title="Guidance at low noise",
        description="Guidance of the second expert, which makes the details; without one, as the first.",
    )
    boundary_ratio: Annotated[float, Within(0, 1)] = Field(
        default=0.9,
        title="Boundary of the experts",
        description=(
            "The noise at which the second expert takes over, as a part of the highest: 0.9 is what the model"
            " is published with."
        ),
    )
    solver: Literal["unipc", "euler"] = Field(
        default="unipc",
        title="Solver",
        description="UniPC is what the model is published with, Euler what its distilled LoRAs are.",
    )

    @property
    def euler(self) -> bool:
        return self.solver == "euler"

    @property
    def boundary(self) -> float | None:
        return self.boundary_ratio

    def scales(self, guidance_scale: float) -> tuple[float, ...]:
        second = self.guidance_scale_2
        return (guidance_scale, guidance_scale if second is None else second)

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        filled, notices = super().completed(generation)
        scale = self.scales(generation.guidance_scale)[1]
        return filled.model_copy(update={"guidance_scale_2": scale}), notices


def options_of(spec: EngineSpec, generation: Generation) -> WanOptions:
    """Return the options of a clip of this family."""
    options = spec.options_model.model_validate(generation.options)
    assert isinstance(options, WanOptions), spec.name
    return options
