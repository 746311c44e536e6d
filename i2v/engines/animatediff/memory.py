"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which
scripts/memory_table/make_animatediff.py writes by running the engine on fake tensors. How much memory there
is, and what to do about it, is `i2v.memory.plan`'s business.
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
from i2v.core.inputs import StyleImage
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
from i2v.memory.model import Estimate

# Of the table, by `EngineSpec.tensor_table`: the second has a motion module in the middle block too, which is
# small in a step and counts as weights.
ARCHITECTURES = ("animatediff", "animatediff-distilled")
FEW_TOKENS = 4096  # that a feed-forward layer takes at a time, where its own number is too many
_ENCODERS = ("text_encoder",)
_DENOISERS = ("unet", "motion_adapter", "controlnet")
# With a style picture. A step takes up to 0.3 % more memory then, and 0.4 % more operations: not counted.
_STYLE_ENCODERS, _STYLE_DENOISERS = (*_ENCODERS, "image_encoder"), (*_DENOISERS, "ip_adapter")


class _Flops(TypedDict):
    step: list[float]  # of one row: latents x frames, latents squared x frames, latents x frames squared, 1
    encode: list[float]  # of pixels, pixels squared
    decode: list[float]  # of one frame


class _Style(TypedDict):
    """Numbers of the weights that a style picture needs, and operations of its encoding."""

    image_encoder: int
    ip_adapter: int
    flops: float


class _Table(TypedDict):
    """See scripts/memory_table/make_animatediff.py. Memory is in numbers: bytes are those of the type."""

    weights: dict[str, int]
    distilled_adapter: int
    scale: int
    tile: int
    chunk_tokens: int
    volumes: list[int]
    step: list[int]  # of one row
    encode: float
    decode: float
    decode_tiled: float
    flops: _Flops
    style: _Style


class AnimateDiffMemory:
    """The `MemoryModel` of the published architecture."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        if spec.tensor_table not in ARCHITECTURES:
            return None
        weights = _table()["weights"]
        if spec.tensor_table == ARCHITECTURES[1]:
            weights = {**weights, "motion_adapter": _table()["distilled_adapter"]}
        return _estimate(generation, plan, weights)

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: chunks of tokens, chunks of frames, two passes, offloading."""
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        passes = (1, 2) if generation.guidance_scale > 1 and plan.cfg_passes == 1 else (plan.cfg_passes,)
        frames = (plan.decode_chunk, *fewer_frames(plan, generation))
        is_low = 0 < plan.chunk_tokens <= FEW_TOKENS
        tokens = (plan.chunk_tokens,) if is_low else (plan.chunk_tokens, FEW_TOKENS)
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
        table = _table()
        area, frames = _area(table, generation), generation.num_frames
        per_volume, within, along, fixed = table["flops"]["step"]
        row = per_volume * area * frames + within * area**2 * frames + along * area * frames**2 + fixed
        return 2 * row if generation.guidance_scale > 1 else row


MEMORY = AnimateDiffMemory()


def _estimate(generation: Generation, plan: MemoryPlan, counts: dict[str, int]) -> Estimate:
    table, item = _table(), ITEM_BYTES[plan.dtype]
    pixels, frames = generation.generated_width * generation.generated_height, generation.num_frames
    flops, style = table["flops"], table["style"]
    has_style = any(isinstance(picture, StyleImage) for picture in generation.inputs)
    encoded = 1 + len(generation.inputs) - has_style
    encoders, denoisers = (_STYLE_ENCODERS, _STYLE_DENOISERS) if has_style else (_ENCODERS, _DENOISERS)
    if has_style:
        counts = {**counts, "image_encoder": style["image_encoder"], "ip_adapter": style["ip_adapter"]}
    figures = {
        Stage.CONDITION: (
            int(table["encode"] * pixels * item),
            of_pixels(flops["encode"], pixels) * encoded + style["flops"] * has_style,
        ),
        Stage.DENOISE: (
            _step_numbers(table, generation, plan) * item,
            MEMORY.step_flops(generation)
            * evaluations(generation.speed, generation.num_inference_steps, generation.strength),
        ),
        Stage.DECODE: (
            int(_decode_numbers(table, generation, plan) * item),
            of_pixels(flops["decode"], pixels) * frames,
        ),
    }
    weights = {part: count * item for part, count in counts.items()}
    resident = resident_parts(plan, encoders, denoisers)
    return estimated(figures, resident, encoders, weights, plan, generation)


def _area(table: _Table, generation: Generation) -> int:
    """Return the latents of a frame."""
    return generation.generated_width * generation.generated_height // table["scale"] ** 2


def _step_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    volume = _area(table, generation) * generation.num_frames
    rows = 2 if generation.guidance_scale > 1 else 1
    together = rows if plan.cfg_passes == 1 else 1
    waiting = 4 * volume if together < rows else 0  # the first row's prediction
    # What grows does so with volume and chunk alike: at c times both, it is c times as much.
    chunks = (plan.chunk_tokens or table["chunk_tokens"]) / table["chunk_tokens"]
    fixed = interpolated(table["volumes"], table["step"], 0)
    peak = interpolated(table["volumes"], table["step"], together * volume / chunks)
    return round(fixed + (peak - fixed) * chunks) + waiting


def _decode_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> float:
    frames = frames_decoded_together(plan, generation)
    sides, tile = (generation.generated_width, generation.generated_height), table["tile"]
    if plan.vae_tiling and max(sides) > tile:
        return frames * table["decode_tiled"] * min(sides[0], tile) * min(sides[1], tile)
    return frames * table["decode"] * sides[0] * sides[1]


@cache
def _table() -> _Table:
    table: _Table = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return table
