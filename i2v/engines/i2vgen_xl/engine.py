"""The engine: components loaded once, and the story of one clip, which goes on where memory ran out."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
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
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition, encode_clip
from i2v.engines.i2vgen_xl.decode import decode_frames, preview
from i2v.engines.i2vgen_xl.graph import CudaGraphs, GraphForward, Graphs
from i2v.engines.i2vgen_xl.options import options_of
from i2v.engines.i2vgen_xl.sampling import State, denoise, initial_state, schedule_for
from i2v.engines.kernels.self_check import checked_operations
from i2v.engines.recovery import recovering


class I2VGenXLEngine:
    """I2VGen-XL for any weights of its layout: the published ones and the embedded demo model."""

    def __init__(self, spec: EngineSpec, components: Components, plan: MemoryPlan) -> None:
        self.spec = spec
        self.components = components
        self.plan = plan
        self.operations = checked_operations(components.device, components.dtype)
        self.graphs: Graphs | None = CudaGraphs() if components.device.type == "cuda" else None
        self._compiled: Forward | None = None  # keeps what was compiled from clip to clip

    @property
    def kernels(self) -> str:
        return self.operations.name

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

    @contextmanager
    def forward(self, plan: MemoryPlan) -> Iterator[Forward | GraphForward]:
        """Have what predicts the steps of one clip.

        A graph holds the memory of a whole step: not where it is short.
        """
        forward = Forward(operations=self.operations)
        if plan.compile:
            forward = self._compiled = self._compiled or Forward(True, self.operations)
        if self.graphs is None or plan.offload != "none" or plan.cfg_passes > 1:
            yield forward
            return
        with GraphForward(forward, self.graphs) as graph:
            yield graph


class _Clip:
    """One clip in the making: what is finished outlives a lack of memory (`i2v.engines.recovery.Work`)."""

    def __init__(self, engine: I2VGenXLEngine, generation: Generation, inputs: Inputs) -> None:
        self._engine = engine
        self._generation = generation
        self._inputs = inputs
        self._conditioning: Conditioning | None = None
        self._reference: torch.Tensor | None = None
        self._state: State | None = None
        self._begun = 0  # the step that denoising begins with
        self._decoded = 0  # frames
        self._reported: set[str] = set()  # codes of what is said once a clip
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
            yield Conditioned(self._conditioning.notices)
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
        with components.on_device(components.text_encoder, components.image_encoder, components.vae):
            if camera is not None:
                self._reference = encode_clip(components, camera)
            conditioning = condition(components, self._engine.spec, self._generation, image)
        notices = () if camera is None else camera.notices
        return replace(conditioning, notices=(*conditioning.notices, *notices))

    def _denoise(self, conditioning: Conditioning, start: State, plan: MemoryPlan) -> Generator[Event]:
        components = self._engine.components
        schedule = schedule_for(components, self._generation)
        total = len(schedule.timesteps)
        factors = self._engine.spec.preview_factors
        with components.on_device(components.unet), self._engine.forward(plan) as forward:
            for step in denoise(components, conditioning, start, self._generation, plan, schedule, forward):
                self._state = step.state
                if step.state.step == total:
                    self._engine.components.wait()
                    self.stage = Stage.DECODE
                shown = partial(preview, step.denoised, factors)
                done, of = step.state.step - self._begun, total - self._begun
                yield Denoised(done, of, shown, self._once(forward.failures))

    def _once(self, failures: tuple[Notice, ...]) -> tuple[Notice, ...]:
        new = tuple(failure for failure in failures if failure.code not in self._reported)
        self._reported.update(failure.code for failure in new)
        return new

    def _decode(self, state: State, plan: MemoryPlan) -> Generator[Event]:
        vae, left = self._engine.components.vae, state.latents[:, :, self._decoded :]
        operations = self._engine.operations
        with self._engine.components.on_device(vae):
            for part in decode_frames(vae, left, plan.decode_chunk, plan.vae_tiling, operations):
                if operations.failure is not None:
                    part = replace(part, notices=(*part.notices, *self._once((operations.failure,))))
                self._decoded += len(part.frames)
                if self._decoded == self._generation.num_frames:
                    self.stage = None
                yield part
