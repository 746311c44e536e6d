"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which
scripts/memory_table/make_wan.py writes by running the engine on fake tensors. How much memory there is, and
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
from i2v.core.schedules import evaluations
from i2v.core.schema import Generation, MemoryPlan, Offload
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import (
    ITEM_BYTES,
    estimated,
    interpolated,
    of_pixels,
    resident_parts,
)
from i2v.memory.model import Estimate

ARCHITECTURE = "wan-ti2v-5b"  # of the table, by `EngineSpec.tensor_table`

_ENCODERS = ("text_encoder",)
_DENOISERS = ("transformer",)
_SCALE_BYTES = 4  # of each row that is kept in float8
# What of a part's peak is there while its largest layer computes, by simulations of 512 to 65,536 tokens.
_UNPACKING = 8  # bytes a number of the largest layer in GGUF, as it is unpacked: Q5_K, which takes most, 7.2
_BESIDE_LAYER = {"transformer": 0.72, "text_encoder": 0.42}
_VAE_ITEM = 4  # it is in float32, whatever the plan says
_PIXEL_BYTES = 12  # of a clip that is decoded in tiles, in CPU memory
_FRAMES_OF_A_LATENT = 4


class _Flops(TypedDict):
    step: list[float]  # of one row: tokens, tokens squared, 1
    read: float  # of one prompt
    encode: list[float]  # of pixels, pixels squared
    decode_first: list[float]  # of the first latent frame
    decode: list[float]  # of each other


class _Float8(TypedDict):
    """What of a part is kept in float8: numbers, and rows with a scale; the same of the largest block."""

    numbers: int
    rows: int
    streamed_numbers: int
    streamed_rows: int
    layer: int  # numbers of the largest weight, which is there in full while it computes


class _Table(TypedDict):
    """See scripts/memory_table/make_wan.py. Weights are in numbers, all else in bytes.

    What depends on the type is by the bytes of a number.
    """

    weights: dict[str, int]
    streamed: dict[str, int]  # numbers that are there at once where blocks come one by one
    float8: dict[str, _Float8]
    scale: int
    tile: int
    chunk_tokens: int
    tokens: list[int]
    step: dict[str, dict[str, list[int]]]  # by the rows at once
    read: dict[str, int]  # of one prompt
    encode: float  # of a pixel
    decode: float
    flops: _Flops


class WanMemory:
    """The `MemoryModel` of the published architecture."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        if spec.tensor_table != ARCHITECTURE:
            return None
        return _estimate(generation, plan, spec.stored_bytes.get("transformer", 0))

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: two passes, offloading.

        Frames are decoded one latent frame after the other anyway, and tokens taken in chunks: `decode_chunk`
        and `chunk_tokens` stay.
        """
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        passes = (1, 2) if _rows(generation) == 2 and plan.cfg_passes == 1 else (plan.cfg_passes,)
        for offload, cfg_passes in product(away, passes):
            way = replace(plan, offload=offload, cfg_passes=cfg_passes)
            if all(getattr(way, name) == getattr(plan, name) for name in kept):
                yield way

    def step_flops(self, generation: Generation) -> float:
        table = _table()
        tokens = _tokens(table, generation)
        each, squared, fixed = table["flops"]["step"]
        return _rows(generation) * (each * tokens + squared * tokens**2 + fixed)


MEMORY = WanMemory()


def _estimate(generation: Generation, plan: MemoryPlan, in_gguf: int) -> Estimate:
    """`in_gguf`: bytes of the transformer where it is in GGUF, else 0."""
    table, item = _table(), ITEM_BYTES[plan.dtype]
    items = {part: _VAE_ITEM if part == "vae" else item for part in table["weights"]}
    weights = {part: count * items[part] for part, count in table["weights"].items()}
    streamed = {part: count * items[part] for part, count in table["streamed"].items()}
    if _in_float8(plan):
        for part, kept in table["float8"].items():
            weights[part] -= kept["numbers"] * (item - 1) - kept["rows"] * _SCALE_BYTES
            streamed[part] -= kept["streamed_numbers"] * (item - 1) - kept["streamed_rows"] * _SCALE_BYTES
    if in_gguf:
        kept = table["float8"]["transformer"]
        beside = (table["streamed"]["transformer"] - kept["streamed_numbers"]) * item
        weights["transformer"] = in_gguf + beside  # what is not in blocks may be wider than in the file
        streamed["transformer"] = in_gguf * kept["streamed_numbers"] // kept["numbers"] + beside
    figures, resident = _computing(table, generation, plan), resident_parts(plan, _ENCODERS, _DENOISERS)
    # The text encoder and the VAE are there one after the other where they are offloaded: the larger counts.
    away = {"none": (), "encoders": _ENCODERS, "model": tuple(weights)}[plan.offload]
    there = weights | ({part: streamed.get(part, weights[part]) for part in away} if away else {})
    if in_gguf:
        unpacked = _UNPACKING * table["float8"]["transformer"]["layer"]
        most, flops = figures[Stage.DENOISE]
        figures[Stage.DENOISE] = (max(most, int(_BESIDE_LAYER["transformer"] * most) + unpacked), flops)
    alone = [
        (tuple(name for name in weights if name == part or name not in away), activations)
        for part, activations in _conditioning(table, generation, plan)
    ]
    resident[Stage.CONDITION], most = max(
        alone, key=lambda phase: phase[1] + sum(there[part] for part in phase[0])
    )
    figures[Stage.CONDITION] = (most, figures[Stage.CONDITION][1])
    found = estimated(figures, resident, _ENCODERS, weights, plan, generation, streamed)
    if plan.device == "cpu":
        return found
    moved = found.moved_bytes
    if plan.offload == "model":  # once is in it
        moved += (generation.num_inference_steps * _passes(generation, plan) - 1) * weights["transformer"]
    return replace(found, ram_bytes=found.ram_bytes + _clip_bytes(table, generation, plan), moved_bytes=moved)


def _conditioning(table: _Table, generation: Generation, plan: MemoryPlan) -> list[tuple[str, int]]:
    """Return the two parts that the stage runs, each with its bytes beside weights."""
    pixels = generation.generated_width * generation.generated_height
    read = _beside_layer(
        table, plan, "text_encoder", table["read"][str(ITEM_BYTES[plan.dtype])]
    )  # one prompt
    return [("text_encoder", read), ("vae", int(table["encode"] * pixels))]


def _computing(table: _Table, generation: Generation, plan: MemoryPlan) -> dict[Stage, tuple[int, float]]:
    """Return each stage's bytes beside weights, and its operations."""
    pixels, rows = generation.generated_width * generation.generated_height, _rows(generation)
    flops = table["flops"]
    more = (generation.num_frames - 1) // _FRAMES_OF_A_LATENT
    steps = evaluations(generation.speed, generation.num_inference_steps)
    on_cpu = _clip_bytes(table, generation, plan) if plan.device == "cpu" else 0
    return {
        Stage.CONDITION: (
            max(activations for _, activations in _conditioning(table, generation, plan)),
            rows * flops["read"] + of_pixels(flops["encode"], pixels),
        ),
        Stage.DENOISE: (
            _beside_layer(table, plan, "transformer", _step_bytes(table, generation, plan)),
            MEMORY.step_flops(generation) * steps,
        ),
        Stage.DECODE: (
            int(table["decode"] * _pixels_at_once(table, generation, plan)) + on_cpu,
            of_pixels(flops["decode_first"], pixels) + more * of_pixels(flops["decode"], pixels),
        ),
    }


def _in_float8(plan: MemoryPlan) -> bool:
    return plan.storage_dtype == "float8_e4m3fn"


def _beside_layer(table: _Table, plan: MemoryPlan, part: str, peak: int) -> int:
    """Return the peak of a part with its largest weight in full, as a layer in float8 computes with it."""
    if not _in_float8(plan):
        return peak
    layer = table["float8"][part]["layer"] * ITEM_BYTES[plan.dtype]
    return max(peak, int(_BESIDE_LAYER[part] * peak) + layer)


def _rows(generation: Generation) -> int:
    return 2 if generation.guidance_scale > 1 else 1


def _passes(generation: Generation, plan: MemoryPlan) -> int:
    return min(plan.cfg_passes, _rows(generation))


def _tokens(table: _Table, generation: Generation) -> int:
    """Return the tokens of a clip: one of each 2 x 2 latents of a latent frame."""
    area = generation.generated_width * generation.generated_height // (2 * table["scale"]) ** 2
    return area * ((generation.num_frames - 1) // _FRAMES_OF_A_LATENT + 1)


def _step_bytes(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    rows = _rows(generation) // _passes(generation, plan)
    known, peaks = table["tokens"], table["step"][str(ITEM_BYTES[plan.dtype])][str(rows)]
    # What grows does so with tokens and chunk alike: at c times both, it is c times as much.
    chunks = (plan.chunk_tokens or table["chunk_tokens"]) / table["chunk_tokens"]
    fixed = interpolated(known, peaks, 0)
    peak = interpolated(known, peaks, _tokens(table, generation) / chunks)
    return round(fixed + (peak - fixed) * chunks)


def _is_tiled(table: _Table, generation: Generation, plan: MemoryPlan) -> bool:
    return plan.vae_tiling and max(generation.generated_width, generation.generated_height) > table["tile"]


def _pixels_at_once(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    sides, tile = (generation.generated_width, generation.generated_height), table["tile"]
    if _is_tiled(table, generation, plan):
        return min(sides[0], tile) * min(sides[1], tile)
    return sides[0] * sides[1]


def _clip_bytes(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    """Return what a clip takes of CPU memory while it is decoded in tiles."""
    if not _is_tiled(table, generation, plan):
        return 0
    pixels = generation.generated_width * generation.generated_height
    return _PIXEL_BYTES * pixels * generation.num_frames


@cache
def _table() -> _Table:
    table: _Table = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return table
