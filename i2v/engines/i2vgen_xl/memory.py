"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which scripts/memory_table/make.py
writes by running the engine on fake tensors; engines that are not in it are not estimated. How much memory
there is, and what to do about it, is `i2v.memory.plan`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypedDict, get_args

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, Offload
from i2v.core.schedules import evaluations
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import (
    ITEM_BYTES,
    estimated,
    fewer_frames,
    frames_decoded_together,
    interpolated,
    of_pixels,
    resident_parts,
)
from i2v.memory.model import Estimate, predictions

_ENCODERS = ("text_encoder", "image_encoder")

# Tokens that a transformer takes at a time, where an engine's own number is too many: on CUDA, where that is
# all of them, in two steps. Still fewer save nothing in clips that are large enough to matter: convolutions
# take more by then.
FEW_TOKENS = 4096
MANY_TOKENS = 2**14
ALL_TOKENS = 10**9


class _Flops(TypedDict):
    unguided: list[float]  # of latents x frames, latents squared x frames, latents x frames squared, 1
    one_pass: list[float]
    encode: list[float]  # of pixels, pixels squared
    decode: list[float]


class _Table(TypedDict):
    """See scripts/memory_table/make.py. Memory is counted in numbers: bytes are those of the type."""

    weights: dict[str, int]
    scale: int
    tile: int
    chunk_pixels: int
    chunk_tokens: int
    volumes: list[int]
    step: dict[str, list[int]]
    encode: float
    decode: float
    decode_tiled: float
    flops: _Flops


class I2VGenXLMemory:
    """The `MemoryModel` of all weights of I2VGen-XL's layout that are in `memory.json`."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        table = _tables().get(spec.name)
        return None if table is None else _estimate(table, generation, plan, predictions(spec, generation))

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: chunks of tokens, chunks of frames, two passes, offloading."""
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        passes = (1, 2) if generation.guidance_scale > 1 and plan.cfg_passes == 1 else (plan.cfg_passes,)
        frames = (plan.decode_chunk, *fewer_frames(plan, generation))
        lower = (MANY_TOKENS, FEW_TOKENS) if plan.device == "cuda" else (FEW_TOKENS,)
        tokens = (plan.chunk_tokens, *(count for count in lower if not 0 < plan.chunk_tokens <= count))
        for offload, cfg_passes, decode_chunk, chunk_tokens in product(away, passes, frames, tokens):
            way = replace(
                plan,
                offload=offload,
                cfg_passes=cfg_passes,
                decode_chunk=decode_chunk,
                chunk_tokens=chunk_tokens,
            )
            if all(getattr(way, name) == getattr(plan, name) for name in kept):
                yield way

    def step_flops(self, generation: Generation) -> float:
        return step_flops(generation)


MEMORY = I2VGenXLMemory()


def _estimate(table: _Table, generation: Generation, plan: MemoryPlan, times: int) -> Estimate:
    """`times`: that a step predicts the clip."""
    item = ITEM_BYTES[plan.dtype]
    pixels = generation.generated_width * generation.generated_height
    decode_flops = of_pixels(table["flops"]["decode"], pixels) * generation.num_frames
    step = _step_numbers(table, generation, plan)
    figures = {
        Stage.CONDITION: (int(table["encode"] * pixels * item), of_pixels(table["flops"]["encode"], pixels)),
        Stage.DENOISE: (step * item, denoise_flops(generation, plan.cfg_passes) * times),
        Stage.DECODE: (int(_decode_numbers(table, pixels, generation, plan) * item), decode_flops),
    }
    weights = {part: count * item for part, count in table["weights"].items()}
    return estimated(figures, resident_parts(plan, _ENCODERS), _ENCODERS, weights, plan, generation)


def denoise_flops(generation: Generation, cfg_passes: int = 1) -> float:
    """Return the operations of all denoising steps."""
    steps = evaluations(generation.speed, generation.num_inference_steps, generation.strength)
    return step_flops(generation, cfg_passes) * steps


def step_flops(generation: Generation, cfg_passes: int = 1) -> float:
    """Return the operations of one denoising step; where the engine was not measured, a number like it."""
    table = _tables().get(generation.engine)
    pixels, frames = generation.generated_width * generation.generated_height, generation.num_frames
    guided = generation.guidance_scale > 1
    if table is None:
        return float(pixels * frames * (2 if guided else 1))
    area = pixels / table["scale"] ** 2
    once = guided and cfg_passes == 1
    per_volume, within, along, fixed = table["flops"]["one_pass" if once else "unguided"]
    flops = per_volume * area * frames + within * area**2 * frames + along * area * frames**2 + fixed
    return 2 * flops if guided and not once else flops


def _step_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    area = generation.generated_width * generation.generated_height // table["scale"] ** 2
    rows = "unguided" if generation.guidance_scale <= 1 else ("one_pass", "two_passes")[plan.cfg_passes - 1]
    # What grows does so with volume and chunk alike: at c times both, it is c times as much. What does not is
    # what the prompt and the picture are known by.
    default = ALL_TOKENS if plan.device == "cuda" else table["chunk_tokens"]
    chunks = (plan.chunk_tokens or default) / table["chunk_tokens"]
    fixed = interpolated(table["volumes"], table["step"][rows], 0)
    peak = interpolated(table["volumes"], table["step"][rows], area * generation.num_frames / chunks)
    return round(fixed + (peak - fixed) * chunks)


def _decode_numbers(table: _Table, pixels: int, generation: Generation, plan: MemoryPlan) -> float:
    frames = frames_decoded_together(plan, generation)
    sides, tile = (generation.generated_width, generation.generated_height), table["tile"]
    if plan.vae_tiling and max(sides) > tile:
        return frames * table["decode_tiled"] * min(sides[0], tile) * min(sides[1], tile)
    return frames * table["decode"] * pixels


@cache
def _tables() -> dict[str, _Table]:
    tables: dict[str, _Table] = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return tables
