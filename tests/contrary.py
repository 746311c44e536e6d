"""An engine that differs from diffusion models in all that a front end must not take for granted.

No prompt, no steps, no guidance, no seed, no weights; long clips at film rates, and options of every kind.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.engine_spec import Capabilities, Corners, EngineSpec, FrameCounts, Options, Preset
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Event, Inputs, Ladder


class ContraryOptions(Options):
    """A field of each kind, with and without a default."""

    strength: Annotated[float, Within(0, 2)] = Field(1.0, title="Strength", description="How much. 0: none.")
    shift: Annotated[float, Within(-1, 1)] | None = Field(None, title="Shift", description="To the right.")
    bucket: Annotated[int, Within(1, 255)] = 127
    path: Literal["line", "arc"] | None = Field(None, title="Path")
    mirror: bool = Field(False, title="Mirror")
    loop: bool | None = Field(None, title="Loop")
    words: str | None = Field(None, title="Words", max_length=20)
    points: list[float] | None = Field(None, title="Points")

    def views(self, num_frames: int, picture: tuple[int, int], size: tuple[int, int]) -> list[Corners]:
        """See the left half first, and at the end what lies so far to its right."""
        width, height = picture
        places = [] if self.shift is None else [0, self.shift * width]
        return [(x, 0, x + width / 2, 0, x + width / 2, height, x, height) for x in places]


CONTRARY = EngineSpec(
    name="contrary",
    title="The contrary one",
    implementation="tests.contrary:ContraryEngine",
    multiple=2,
    trained_frames=(24, 3600),
    trained_fps=(24, 60),
    capabilities=Capabilities(
        prompt="none", negative_prompt=False, guidance_scale=False, num_inference_steps=False,
        target_fps=False, seed=False, fits=("keep",),
        num_frames=FrameCounts(24, 3600), fps=(24, 60), largest_side=4096,
        own_size=True, whole_picture=True, inputs=("image", "last_image", "keyframe"),
    ),
    options_model=ContraryOptions,
    is_generative=False,
    presets={
        "standard": Preset(area_side=96, num_frames=48, num_inference_steps=0, fps=24, guidance_scale=1.0),
        "quick": Preset(area_side=64, num_frames=24, num_inference_steps=0, fps=30, guidance_scale=1.0),
    },
)  # fmt: skip


class ContraryEngine:
    """Makes grey frames out of nothing, of a last image the last one, of keyframes theirs."""

    kernels = "none"

    def __init__(self, spec: EngineSpec, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        assert folder is None, "there are no weights"
        return cls(spec, plan)

    def adopt(self, plan: MemoryPlan) -> None:
        self.plan = plan

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        yield Conditioned()
        for number in range(generation.num_frames):
            size = (1, generation.generated_height, generation.generated_width, 3)
            grey = 5 * number % 256
            if inputs.last_image is not None and number == generation.num_frames - 1:
                grey = inputs.last_image.convert("L").getpixel((0, 0))
            elif number in inputs.keyframes:
                grey = inputs.keyframes[number].convert("L").getpixel((0, 0))
            yield Decoded(np.full(size, grey, np.uint8))
