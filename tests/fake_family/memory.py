"""What a clip of this family takes. Each stage holds its own weights and nothing else. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import product

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.memory.model import Estimate, StageEstimate

FEW_TOKENS = 64
WEIGHTS = {Stage.CONDITION: 3_100, Stage.DENOISE: 1_600, Stage.DECODE: 12_300}  # numbers
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


class FakeMemory:
    """See `i2v.memory.model.MemoryModel`."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        item = _BYTES[plan.dtype]
        latents, tokens = _latents(generation), _tokens(generation)
        pixels = generation.generated_width * generation.generated_height
        numbers = {
            Stage.CONDITION: 3 * pixels,
            Stage.DENOISE: 96 * min(plan.chunk_tokens or tokens, tokens),
            Stage.DECODE: 12 * pixels * min(plan.decode_chunk or latents, latents),
        }
        flops = {
            Stage.CONDITION: 48.0 * pixels,
            Stage.DENOISE: self.step_flops(generation) * generation.num_inference_steps,
            Stage.DECODE: 96.0 * pixels * latents,
        }
        stages = tuple(
            StageEstimate(stage, WEIGHTS[stage] * item, count * item, flops[stage])
            for stage, count in numbers.items()
        )
        most = max(stage.bytes for stage in stages)
        moved = 2 * item * sum(WEIGHTS.values()) if plan.device == "cuda" else 0
        return Estimate(stages, most, most, moved_bytes=moved)

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        chunks = (plan.decode_chunk, 1) if plan.decode_chunk != 1 else (1,)
        is_low = 0 < plan.chunk_tokens <= FEW_TOKENS
        tokens = (plan.chunk_tokens,) if is_low else (plan.chunk_tokens, FEW_TOKENS)
        for decode_chunk, chunk_tokens in product(chunks, tokens):
            way = replace(plan, decode_chunk=decode_chunk, chunk_tokens=chunk_tokens)
            if all(getattr(way, name) == getattr(plan, name) for name in kept):
                yield way

    def step_flops(self, generation: Generation) -> float:
        return 3_200.0 * _tokens(generation)


MEMORY = FakeMemory()


def _latents(generation: Generation) -> int:
    return (generation.num_frames - 1) // 4 + 1


def _tokens(generation: Generation) -> int:
    return _latents(generation) * generation.generated_width * generation.generated_height // 64
