"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which
scripts/memory_table/make_svd.py writes by running the engine on fake tensors. How much memory there is, and
what to do about it, is `i2v.memory.plan`'s business.
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
    interpolated,
    of_pixels,
    resident_parts,
)
from i2v.engines.svd.options import options_of
from i2v.memory.model import Estimate, predictions

ARCHITECTURE = "svd"  # of the table, by `EngineSpec.tensor_table`

_ENCODERS = ("image_encoder",)
FEW_TOKENS = 4096  # that a feed-forward layer takes at a time, where its own number is too many
FEW_FRAMES = 2  # that are decoded together, where all of them are too many: other frames than those


class _Flops(TypedDict):
    step: list[float]  # of one row: latents x frames, latents squared x frames, latents x frames squared, 1
    encode: list[float]  # of pixels, pixels squared
    decode: list[float]  # of one frame


class _Table(TypedDict):
    """See scripts/memory_table/make_svd.py. Memory is counted in numbers: bytes are those of the type."""

    weights: dict[str, int]
    scale: int
    chunk_tokens: int
    volumes: list[int]
    step: dict[str, list[int]]
    encode: float
    frames: list[int]  # that are decoded together
    decode: list[int]  # of a pixel, in all of those
    flops: _Flops


def frames_at_once(chunk: int, few: bool, num_frames: int) -> int:
    """Return how many frames are decoded together: `chunk`, 0 for all; with `few`, no more than that."""
    size = min(chunk or num_frames, num_frames)
    return min(size, FEW_FRAMES) if few else size


class SVDMemory:
    """The `MemoryModel` of the published architecture."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        if spec.tensor_table != ARCHITECTURE:
            return None
        return _estimate(generation, plan, predictions(spec, generation))

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: chunks of tokens, two passes, offloading.

        `decode_chunk` stays: frames that are decoded apart are other frames. `vae_tiling`, the way that may
        change them, stands for decoding few together.
        """
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        is_guided = options_of(generation).is_guided
        passes = (1, 2) if is_guided and plan.cfg_passes == 1 else (plan.cfg_passes,)
        is_low = 0 < plan.chunk_tokens <= FEW_TOKENS
        tokens = (plan.chunk_tokens,) if is_low else (plan.chunk_tokens, FEW_TOKENS)
        for offload, cfg_passes, chunk_tokens in product(away, passes, tokens):
            way = replace(plan, offload=offload, cfg_passes=cfg_passes, chunk_tokens=chunk_tokens)
            if all(getattr(way, name) == getattr(plan, name) for name in kept):
                yield way

    def step_flops(self, generation: Generation) -> float:
        table = _table()
        area, frames = _area(table, generation), generation.num_frames
        per_volume, within, along, fixed = table["flops"]["step"]
        row = per_volume * area * frames + within * area**2 * frames + along * area * frames**2 + fixed
        return 2 * row if options_of(generation).is_guided else row


MEMORY = SVDMemory()


def _estimate(generation: Generation, plan: MemoryPlan, times: int) -> Estimate:
    """`times`: that a step predicts the clip."""
    table = _table()
    weights = {part: count * ITEM_BYTES[plan.dtype] for part, count in table["weights"].items()}
    figures = _computing(table, generation, plan, times)
    return estimated(figures, resident_parts(plan, _ENCODERS), _ENCODERS, weights, plan, generation)


def _computing(
    table: _Table, generation: Generation, plan: MemoryPlan, times: int
) -> dict[Stage, tuple[int, float]]:
    """Return each stage's bytes beside weights, and its operations."""
    item, frames = ITEM_BYTES[plan.dtype], generation.num_frames
    pixels = generation.generated_width * generation.generated_height
    # Half precision is too narrow for this VAE's encoder, which then runs in float32 (`conditioning`).
    encoder_item = 4 if plan.dtype == "float16" else item
    together = frames_at_once(plan.decode_chunk, plan.vae_tiling, frames)
    decode = interpolated(table["frames"], table["decode"], together)
    steps = evaluations("exact", generation.num_inference_steps, generation.strength)
    denoise = MEMORY.step_flops(generation) * steps * times
    return {
        Stage.CONDITION: (
            int(table["encode"] * pixels * encoder_item),
            of_pixels(table["flops"]["encode"], pixels),
        ),
        Stage.DENOISE: (_step_numbers(table, generation, plan) * item, denoise),
        Stage.DECODE: (
            int(decode * pixels * item),
            of_pixels(table["flops"]["decode"], pixels) * frames,
        ),
    }


def _area(table: _Table, generation: Generation) -> int:
    """Return the latents of a frame."""
    return generation.generated_width * generation.generated_height // table["scale"] ** 2


def _step_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    volume = _area(table, generation) * generation.num_frames
    once = options_of(generation).is_guided and plan.cfg_passes == 1
    waiting = 4 * volume if options_of(generation).is_guided and not once else 0  # the first row's prediction
    # What grows does so with volume and chunk alike: at c times both, it is c times as much.
    chunks = (plan.chunk_tokens or table["chunk_tokens"]) / table["chunk_tokens"]
    peaks = table["step"]["one_pass" if once else "unguided"]
    fixed = interpolated(table["volumes"], peaks, 0)
    peak = interpolated(table["volumes"], peaks, volume / chunks)
    return round(fixed + (peak - fixed) * chunks) + waiting


@cache
def _table() -> _Table:
    table: _Table = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return table
