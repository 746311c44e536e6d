"""The engine of this family: what its stages run, and by which kernels, graphs and compiled parts."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.diffusion.engine import DiffusionClip, DiffusionEngine
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.diffusion.state import State, Step
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.graph import CudaGraphs, GraphForward, Graphs
from i2v.engines.i2vgen_xl.options import I2VGenXLOptions, options_of
from i2v.engines.i2vgen_xl.sampling import denoise, initial_state, schedule_for
from i2v.engines.kernels.plain import PLAIN, Operations
from i2v.engines.kernels.self_check import checked_operations
from i2v.engines.recovery import recovering


class I2VGenXLEngine(DiffusionEngine[Components]):
    """I2VGen-XL for any weights of its layout: the published ones and the embedded demo model."""

    def __init__(self, spec: EngineSpec, components: Components, plan: MemoryPlan) -> None:
        super().__init__(spec, components, plan)
        # kept when a later plan does without
        self._kernels = None if plan.kernels == "off" else self._checked()
        self.graphs: Graphs | None = CudaGraphs() if components.device.type == "cuda" else None
        self._compiled: Forward | None = None  # keeps what was compiled from clip to clip

    @property
    def kernels(self) -> str:
        return self.operations.name

    @property
    def operations(self) -> Operations:
        """How norms, gates and sums are computed under the plan."""
        if self.plan.kernels == "off":
            return PLAIN
        self._kernels = self._kernels or self._checked()
        return self._kernels

    def _checked(self) -> Operations:
        return checked_operations(self.components.device, self.components.dtype)

    @staticmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
        return load_components(spec, folder, plan)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`)."""
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)

    @contextmanager
    def forward(self, plan: MemoryPlan, has_one_context: bool = True) -> Iterator[Forward | GraphForward]:
        """Have what predicts the steps of one clip.

        A graph holds the memory of a whole step: not where it is short. It is of one context: a clip that is
        predicted from both ends has two.
        """
        forward = Forward(operations=self.operations)
        if plan.compile:
            forward = self._compiled = self._compiled or Forward(True, self.operations)
        is_short = plan.offload != "none" or plan.cfg_passes > 1
        if self.graphs is None or plan.cuda_graph == "off" or is_short or not has_one_context:
            yield forward
            return
        with GraphForward(forward, self.graphs) as graph:
            yield graph


class _Clip(DiffusionClip[Components, Conditioning]):
    def __init__(self, engine: I2VGenXLEngine, generation: Generation, inputs: Inputs) -> None:
        super().__init__(engine, generation, inputs)
        self._ours = engine
        self._schedule = schedule_for(engine.components, generation)
        self._failures: tuple[Notice, ...] = ()  # of the forward
        self._reported: set[str] = set()  # codes of what is said once a clip

    @property
    def options(self) -> I2VGenXLOptions:
        return options_of(self.generation)

    def condition(self, inputs: Inputs) -> tuple[Conditioning, tuple[Notice, ...]]:
        spec, last = self.engine.spec, inputs.last_image
        made = condition(self.components, spec, self.generation, inputs.image)
        if spec.capabilities.blends_ends and last is not None:
            made = replace(made, backwards=condition(self.components, spec, self.generation, last))
        return made, made.notices

    def begin(self, reference: torch.Tensor | None) -> State:
        return initial_state(self.components, self.generation, reference)

    @property
    def total(self) -> int:
        return len(self._schedule.timesteps)

    def steps(self, given: Conditioning, start: State, plan: MemoryPlan) -> Iterator[Step]:
        with self._ours.forward(plan, has_one_context=given.backwards is None) as forward:
            for step in denoise(
                self.components, given, start, self.generation, plan, self._schedule, forward, self.held
            ):
                self._failures = forward.failures
                yield step

    def frames(self, latents: torch.Tensor, plan: MemoryPlan) -> Iterator[Decoded]:
        operations = self._ours.operations
        return decode_frames(self.components.vae, latents, plan.decode_chunk, plan.vae_tiling, operations)

    def notices(self) -> tuple[Notice, ...]:
        failures = (*self._failures, self._ours.operations.failure)
        new = tuple(each for each in failures if each is not None and each.code not in self._reported)
        self._reported.update(each.code for each in new)
        return new
