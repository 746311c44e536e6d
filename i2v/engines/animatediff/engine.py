"""The engine of this family: what its stages run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.components import Components, load_components
from i2v.engines.animatediff.conditioning import Conditioning, condition
from i2v.engines.animatediff.options import AnimateDiffOptions, options_of
from i2v.engines.animatediff.sampling import denoise, initial_state
from i2v.engines.animatediff.weights import prepare
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.diffusion.engine import DiffusionClip, DiffusionEngine
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.diffusion.state import State, Step
from i2v.engines.recovery import recovering


class AnimateDiffEngine(DiffusionEngine[Components]):
    """AnimateDiff on any weights of Stable Diffusion 1.5's layout."""

    @staticmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
        return load_components(spec, folder, plan)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`)."""
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)


class _Clip(DiffusionClip[Components, Conditioning]):
    @property
    def options(self) -> AnimateDiffOptions:
        return options_of(self.generation)

    def prepare(self) -> None:
        prepare(self.components, self.engine.spec, self.generation, self.inputs)

    def condition(self, inputs: Inputs) -> tuple[Conditioning, tuple[Notice, ...]]:
        return condition(self.components, self.engine.spec, self.generation, inputs)

    def begin(self, reference: torch.Tensor | None) -> State:
        return initial_state(self.components, self.generation, reference)

    @property
    def total(self) -> int:
        return self.generation.num_inference_steps

    def steps(self, given: Conditioning, start: State, plan: MemoryPlan) -> Iterator[Step]:
        return denoise(self.components, given, start, self.generation, plan, self.held)

    def frames(self, latents: torch.Tensor, plan: MemoryPlan) -> Iterator[Decoded]:
        return decode_frames(self.components.vae, latents, plan.decode_chunk, plan.vae_tiling)
