"""The engine of this family: what its stages run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.diffusion.engine import DiffusionClip, DiffusionEngine
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.diffusion.state import State, Step
from i2v.engines.recovery import recovering
from i2v.engines.svd.components import Components, load_components
from i2v.engines.svd.conditioning import Conditioning, condition, encode_frame
from i2v.engines.svd.decode import decode_frames
from i2v.engines.svd.options import SVDOptions, options_of
from i2v.engines.svd.sampling import denoise, initial_state


class SVDEngine(DiffusionEngine[Components]):
    """Stable Video Diffusion, of 14 and of 25 frames alike."""

    @staticmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
        return load_components(spec, folder, plan)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`)."""
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)


class _Clip(DiffusionClip[Components, Conditioning]):
    frames_axis = 1

    @property
    def options(self) -> SVDOptions:
        return options_of(self.generation)

    def condition(self, inputs: Inputs) -> tuple[Conditioning, tuple[Notice, ...]]:
        made, last = condition(self.components, self.generation, inputs.image), inputs.last_image
        if self.engine.spec.capabilities.blends_ends and last is not None:
            made = replace(made, backwards=condition(self.components, self.generation, last))
        return made, ()

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return encode_frame(self.components, pixels)

    def begin(self, reference: torch.Tensor | None) -> State:
        return initial_state(self.components, self.generation, reference)

    @property
    def total(self) -> int:
        return self.generation.num_inference_steps

    def steps(self, given: Conditioning, start: State, plan: MemoryPlan) -> Iterator[Step]:
        return denoise(self.components, given, start, self.generation, plan, self.held)

    def frames(self, latents: torch.Tensor, plan: MemoryPlan) -> Iterator[Decoded]:
        return decode_frames(self.components.vae, latents, plan.decode_chunk, plan.vae_tiling)
