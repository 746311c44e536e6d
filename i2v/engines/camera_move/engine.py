"""The engine: a photograph and a move, to frames. Nothing is loaded, and no step is denoised.

Owns the way from a `Generation` to the path and its events. Deliberately does not know prompts: what they ask
for is in the generation's options by now.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Self

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Event, Inputs, Ladder
from i2v.engines.camera.path import plan_path
from i2v.engines.camera.render import render
from i2v.engines.camera_move.options import CameraMoveOptions


class CameraMoveEngine:
    """See `i2v.engines.base.Engine`. There is one way to render, whatever the plan, but for its threads."""

    kernels = "none"

    def __init__(self, spec: EngineSpec, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        return cls(spec, plan)

    def adopt(self, plan: MemoryPlan) -> None:
        self.plan = plan

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield `Conditioned`, then each frame as one `Decoded`.

        Raises `ValueError` for options that `CameraMoveOptions.completed` has not filled.
        """
        move = CameraMoveOptions.model_validate(generation.options).move
        size = (generation.generated_width, generation.generated_height)
        path = plan_path(move, generation.num_frames, inputs.image.size, size)
        yield Conditioned(path.notices)
        for frame in render(inputs.image, path, self.plan.threads or len(os.sched_getaffinity(0))):
            yield Decoded(frame[None])
