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
from i2v.engines.diffusion.camera_path import CameraFrames
from i2v.engines.diffusion.engine import DiffusionClip, DiffusionEngine
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.diffusion.state import State, Step
from i2v.engines.recovery import recovering
from i2v.engines.wan.components import Components, load_components
from i2v.engines.wan.conditioning import Conditioning, condition, encode_path, statistics
from i2v.engines.wan.decode import decode_frames
from i2v.engines.wan.options import WanOptions, options_of
from i2v.engines.wan.sampling import denoise, initial_state


class WanEngine(DiffusionEngine[Components]):
    """Wan 2.2 TI2V-5B, and I2V-A14B with its two experts."""

    @staticmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
        return load_components(spec, folder, plan)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`)."""
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)


class _Clip(DiffusionClip[Components, Conditioning]):
    conditioners = ()  # the text encoder and the VAE come one after the other
    denoisers = ()  # so do experts

    @property
    def options(self) -> WanOptions:
        return options_of(self.engine.spec, self.generation)

    def prepare(self) -> None:
        self.components.use_loras(self.engine.spec, self.inputs.loras)

    def condition(self, inputs: Inputs) -> tuple[Conditioning, tuple[Notice, ...]]:
        tiling = self.engine.plan.vae_tiling
        return condition(self.components, self.engine.spec, self.generation, inputs, tiling)

    def follow(self, camera: CameraFrames) -> None:
        with self.components.on_device(self.components.vae):
            path = encode_path(self.components, camera, self.engine.plan.vae_tiling)
        self.held.path, self.held.mask = path

    def begin(self, reference: torch.Tensor | None) -> State:
        return initial_state(self.components, self.generation, self.options, reference)

    @property
    def total(self) -> int:
        return self.generation.num_inference_steps

    def steps(self, given: Conditioning, start: State, plan: MemoryPlan) -> Iterator[Step]:
        return denoise(self.components, given, start, self.generation, self.options, plan, self.held)

    def left(self, latents: torch.Tensor) -> torch.Tensor:
        return latents  # a frame cannot be decoded without those before it

    def frames(self, latents: torch.Tensor, plan: MemoryPlan) -> Iterator[Decoded]:
        mean, std = statistics(self.components)
        skipped = self.decoded
        for part in decode_frames(self.components.vae, latents * std + mean, plan.vae_tiling):
            fresh = part.frames[skipped:]
            skipped = max(0, skipped - len(part.frames))
            if len(fresh):
                yield replace(part, frames=fresh)
