"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are `figures`' business. How much memory there is, and what to
do about it, is `i2v.memory.plan`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, Offload
from i2v.core.schedules import evaluations
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import (
    estimated,
    resident_parts,
)
from i2v.engines.wan.facts import facts_of
from i2v.engines.wan.figures import (
    Steps,
    Table,
    clip_bytes,
    computing,
    conditioning,
    read_table,
    sizes,
    step_flops,
)
from i2v.engines.wan.options import options_of
from i2v.engines.wan.schedule import first_steps, timesteps_of
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.memory.model import Estimate

_ENCODERS = ("text_encoder",)


@dataclass(frozen=True)
class WanMemory:
    """The `MemoryModel` of a published architecture, that of `published` (by `EngineSpec.tensor_table`)."""

    published: EngineSpec
    file: str

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        if spec.tensor_table != self.published.tensor_table:
            return None
        return _estimate(read_table(self.file), self._steps(generation), generation, plan, spec.stored_bytes)

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: two passes, offloading.

        Frames are decoded one latent frame after the other anyway, and tokens taken in chunks: `decode_chunk`
        and `chunk_tokens` stay.
        """
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        is_guided = self._steps(generation).rows == 2
        passes = (1, 2) if is_guided and plan.cfg_passes == 1 else (plan.cfg_passes,)
        for offload, cfg_passes in product(away, passes):
            way = replace(plan, offload=offload, cfg_passes=cfg_passes)
            if all(getattr(way, name) == getattr(plan, name) for name in kept):
                yield way

    def step_flops(self, generation: Generation) -> float:
        return step_flops(read_table(self.file), self._steps(generation), generation)

    def _steps(self, generation: Generation) -> Steps:
        options, facts = options_of(self.published, generation), facts_of(self.published)
        times = timesteps_of(generation.num_inference_steps, options.flow_shift)
        made = evaluations(generation.speed, len(times), generation.strength)
        first = first_steps(times, options.boundary)
        counts = (max(0, first - (len(times) - made)), min(made, len(times) - first))
        scales = options.scales(generation.guidance_scale)
        return Steps(facts.transformers, counts, tuple(1 + (s > 1) for s in scales))


MEMORY = WanMemory(WAN_TI2V_5B, "memory.json")
MEMORY_A14B = WanMemory(WAN_I2V_A14B, "memory_a14b.json")


def _estimate(
    table: Table, steps: Steps, generation: Generation, plan: MemoryPlan, in_gguf: Mapping[str, int]
) -> Estimate:
    """`in_gguf`: bytes of the parts that are there so."""
    weights, streamed = sizes(table, steps, generation, plan, in_gguf)
    figures = computing(table, steps, generation, plan, in_gguf)
    resident = resident_parts(plan, _ENCODERS, steps.experts)
    # The text encoder and the VAE are there one after the other where they are offloaded: the larger counts.
    away = {"none": (), "encoders": _ENCODERS, "model": tuple(weights)}[plan.offload]
    kept = {part: weights[part] for part in weights if part not in away}
    if len(steps.experts) > 1 and plan.device == "cuda":  # each comes for its steps alone
        first = max(steps.experts, key=weights.__getitem__)
        kept = {part: count for part, count in kept.items() if part not in steps.experts}
        resident = {
            stage: tuple(
                p for p in parts if p not in steps.experts or (stage is Stage.DENOISE and p == first)
            )
            for stage, parts in resident.items()
        }
    there = weights | {part: streamed.get(part, weights[part]) for part in away}
    alone = [
        (tuple({*kept, part}), activations)
        for part, activations in conditioning(table, steps, generation, plan)
    ]
    resident[Stage.CONDITION], most = max(
        alone, key=lambda phase: phase[1] + sum(there[part] for part in phase[0])
    )
    figures[Stage.CONDITION] = (most, figures[Stage.CONDITION][1])
    found = estimated(figures, resident, _ENCODERS, weights, plan, generation, streamed)
    if plan.device == "cpu":
        return found
    expert = max(weights[part] for part in steps.experts)
    moved, ram = found.moved_bytes, found.ram_bytes + clip_bytes(table, generation, plan)
    if plan.offload == "model":  # each is in it once
        moved += (steps.evaluations(plan.cfg_passes) - len(steps.experts)) * expert
    elif len(steps.experts) > 1:
        moved += len(steps.experts) * expert
        ram += len(steps.experts) * expert
    return replace(found, ram_bytes=ram, moved_bytes=moved)
