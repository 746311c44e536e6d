"""The engine: components loaded once, and the story of one clip, which goes on where memory ran out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.schema import Generation, MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Denoised, Event, Inputs, Ladder
from i2v.engines.diffusion.camera_path import camera_frames
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.recovery import recovering
from i2v.engines.svd.components import Components, load_components
from i2v.engines.svd.conditioning import Conditioning, condition, encode_clip
from i2v.engines.svd.decode import decode_frames, preview
from i2v.engines.svd.options import options_of
from i2v.engines.svd.sampling import State, denoise, initial_state


class SVDEngine:
    """Stable Video Diffusion, of 14 and of 25 frames alike."""

    kernels = "torch"

    def __init__(self, spec: EngineSpec, components: Components, plan: MemoryPlan) -> None:
        self.spec = spec
        self.components = components
        self.plan = plan

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        """Load weights from `folder`; raises as `i2v.engines.base.Engine` says."""
        if folder is None:
            raise ValueError(f"{spec.name} has weights: a folder is needed")
        if plan.threads:
            torch.set_num_threads(plan.threads)
        plan = replace(plan, threads=torch.get_num_threads())
        try:
            return cls(spec, load_components(spec, folder, plan), plan)
        except Exception as error:
            reason = out_of_memory(error)
            if reason is None:
                raise
        raise InsufficientMemory("engine.out_of_memory", reason=reason)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`)."""
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)

    def adopt(self, plan: MemoryPlan) -> None:
        """Work by `plan` from the next clip on, which is of the device and the dtype that were loaded for."""
        self.plan = replace(plan, threads=self.plan.threads)


class _Clip:
    """One clip in the making: what is finished outlives a lack of memory (`i2v.engines.recovery.Work`)."""

    def __init__(self, engine: SVDEngine, generation: Generation, inputs: Inputs) -> None:
        self._engine = engine
        self._generation = generation
        self._inputs = inputs
        self._camera: tuple[Notice, ...] = ()
        self._reference: torch.Tensor | None = None
        self._begun = 0  # the step that denoising begins with
        self._conditioning: Conditioning | None = None
        self._state: State | None = None
        self._decoded = 0  # frames
        self.stage: Stage | None = Stage.CONDITION

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        if self.stage is None:
            return
        self._engine.adopt(plan)
        self._engine.components.settle(plan.offload)  # here, where running out of memory is provided for
        if self._conditioning is None:
            self._conditioning = self._condition()
            self._engine.components.wait()
            self.stage = Stage.DENOISE
            yield Conditioned(self._camera)
        if self._state is None:
            self._state = initial_state(self._engine.components, self._generation, self._reference)
            self._begun = self._state.step
        if self.stage is Stage.DENOISE:
            yield from self._denoise(self._conditioning, self._state, plan)
        yield from self._decode(self._state, plan)

    def _condition(self) -> Conditioning:
        components = self._engine.components
        camera = camera_frames(
            options_of(self._generation), self._generation, self._inputs, self._engine.plan.threads
        )
        image = self._inputs.image if camera is None else camera.first
        with components.on_device(components.image_encoder, components.vae):
            if camera is not None:
                self._camera, self._reference = camera.notices, encode_clip(components, camera)
            return condition(components, self._generation, image)

    def _denoise(self, conditioning: Conditioning, start: State, plan: MemoryPlan) -> Generator[Event]:
        components, factors = self._engine.components, self._engine.spec.preview_factors
        total = self._generation.num_inference_steps
        with components.on_device(components.unet):
            for step in denoise(components, conditioning, start, self._generation, plan):
                self._state = step.state
                if step.state.step == total:
                    components.wait()
                    self.stage = Stage.DECODE
                done, of = step.state.step - self._begun, total - self._begun
                yield Denoised(done, of, partial(preview, step.denoised, factors))

    def _decode(self, state: State, plan: MemoryPlan) -> Generator[Event]:
        components, left = self._engine.components, state.latents[:, self._decoded :]
        with components.on_device(components.vae):
            for part in decode_frames(components.vae, left, plan.decode_chunk, plan.vae_tiling):
                self._decoded += len(part.frames)
                if self._decoded == self._generation.num_frames:
                    self.stage = None
                yield part
