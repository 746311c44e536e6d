"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which scripts/memory_table/make.py
writes by running the engine on fake tensors; engines that are not in it are not estimated. How much memory
there is, and what to do about it, is `i2v.memory.plan`'s business.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypedDict, get_args

from i2v.core.engine_spec import EngineSpec
from i2v.core.schedules import evaluations
from i2v.core.schema import Generation, MemoryPlan, Offload
from i2v.core.stages import Stage
from i2v.media.upscale import bytes_of
from i2v.memory.model import GIB, Estimate, StageEstimate

STAGES = (Stage.CONDITION, Stage.DENOISE, Stage.DECODE)

# What CUDA's context, its libraries' workspaces and the allocator's waste take on the device. The context
# counts twice where free memory was measured beside it: on purpose, until a card has shown what is needed.
CONTEXT_BYTES = 3 * GIB // 2
# Nothing is added for a CUDA graph's pool (`graph`): it is assumed to hold what one step does at the most,
# which is what the step before it held and has given back. No card has shown it yet.
# Python, torch and diffusers before any weights, and what kernels take on a CPU over what tensors do: both
# are held against real runs in tests/engines/i2vgen_xl/test_peak.py.
PROCESS_BYTES = 9 * GIB // 16
_CPU_BUFFERS = 1.75
CUDA_PROCESS_BYTES = 3 * GIB  # CUDA's libraries too: a guess, not measured
_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

# Tokens that a transformer takes at a time, where an engine's own number is too many: on CUDA, where that is
# all of them, in two steps. Still fewer save nothing in clips that are large enough to matter: convolutions
# take more by then.
FEW_TOKENS = 4096
MANY_TOKENS = 2**14
ALL_TOKENS = 10**9

# Pixels that the VAE decodes at a time on CUDA. Measured on an H200, 16 frames of 512 x 512 took 221 ms
# together, 238 in two parts, 420 one by one.
CUDA_CHUNK_PIXELS = 2**22


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
        return None if table is None else _estimate(table, generation, plan)

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """See `MemoryModel`. The order: chunks of tokens, chunks of frames, two passes, offloading."""
        offloads: tuple[Offload, ...] = get_args(Offload)
        away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
        passes = (1, 2) if generation.guidance_scale > 1 and plan.cfg_passes == 1 else (plan.cfg_passes,)
        frames = (plan.decode_chunk, *_fewer_frames(plan, generation))
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


def _estimate(table: _Table, generation: Generation, plan: MemoryPlan) -> Estimate:
    item = _ITEM_BYTES[plan.dtype]
    weights = {part: count * item for part, count in table["weights"].items()}
    pixels = generation.generated_width * generation.generated_height
    linear, squared = table["flops"]["encode"]
    encode_flops = linear * pixels + squared * pixels**2
    linear, squared = table["flops"]["decode"]
    decode_flops = (linear * pixels + squared * pixels**2) * generation.num_frames
    held = {name: sum(weights[part] for part in parts) for name, parts in _resident(plan).items()}
    step = _step_numbers(table, generation, plan)
    figures = {
        Stage.CONDITION: (table["encode"] * pixels, encode_flops),
        Stage.DENOISE: (step, denoise_flops(generation, plan.cfg_passes)),
        Stage.DECODE: (_decode_numbers(table, pixels, generation, plan), decode_flops),
    }
    stages = tuple(
        StageEstimate(stage, held[stage], int(numbers * item), flops)
        for stage, (numbers, flops) in figures.items()
    )
    if plan.device == "cpu":
        stages = tuple(replace(each, activations=int(_CPU_BUFFERS * each.activations)) for each in stages)
    most, enlarging = max(stage.bytes for stage in stages), bytes_of(generation)
    if plan.device == "cpu":
        taken = most + PROCESS_BYTES + enlarging
        return Estimate(stages, taken, taken, process_bytes=PROCESS_BYTES)
    away = {"none": 0, "encoders": _encoders(weights), "model": sum(weights.values())}[plan.offload]
    moved = away + (weights["vae"] if plan.offload == "model" else 0)  # it encodes and decodes
    return Estimate(stages, most + CONTEXT_BYTES, CUDA_PROCESS_BYTES + away + enlarging, 2 * moved)


def _fewer_frames(plan: MemoryPlan, generation: Generation) -> Iterator[int]:
    """Yield what the VAE may decode at a time instead: on CUDA half as many, and so on, elsewhere one."""
    pixels = generation.generated_width * generation.generated_height
    chunk = plan.decode_chunk
    if plan.device == "cuda":
        chunk = min(chunk or max(1, CUDA_CHUNK_PIXELS // pixels), generation.num_frames)
        while chunk > 3:
            chunk //= 2
            yield chunk
    if chunk != 1:
        yield 1


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


def _resident(plan: MemoryPlan) -> dict[Stage, tuple[str, ...]]:
    """Return which parts' weights are on the device in each stage (`Components.on_device`)."""
    encoders, rest = ("text_encoder", "image_encoder"), ("unet", "vae")
    if plan.device == "cpu" or plan.offload == "none":
        return dict.fromkeys(STAGES, encoders + rest)
    if plan.offload == "encoders":
        return {Stage.CONDITION: encoders + rest, Stage.DENOISE: rest, Stage.DECODE: rest}
    return {Stage.CONDITION: (*encoders, "vae"), Stage.DENOISE: ("unet",), Stage.DECODE: ("vae",)}


def _encoders(weights: dict[str, int]) -> int:
    return weights["text_encoder"] + weights["image_encoder"]


def _step_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    area = generation.generated_width * generation.generated_height // table["scale"] ** 2
    rows = "unguided" if generation.guidance_scale <= 1 else ("one_pass", "two_passes")[plan.cfg_passes - 1]
    # What grows does so with volume and chunk alike: at c times both, it is c times as much. What does not is
    # what the prompt and the picture are known by.
    default = ALL_TOKENS if plan.device == "cuda" else table["chunk_tokens"]
    chunks = (plan.chunk_tokens or default) / table["chunk_tokens"]
    fixed = _interpolated(table["volumes"], table["step"][rows], 0)
    peak = _interpolated(table["volumes"], table["step"][rows], area * generation.num_frames / chunks)
    return round(fixed + (peak - fixed) * chunks)


def _decode_numbers(table: _Table, pixels: int, generation: Generation, plan: MemoryPlan) -> float:
    together = CUDA_CHUNK_PIXELS if plan.device == "cuda" else table["chunk_pixels"]
    chunk = plan.decode_chunk or max(1, together // pixels)
    frames = min(chunk, generation.num_frames)
    sides, tile = (generation.generated_width, generation.generated_height), table["tile"]
    if plan.vae_tiling and max(sides) > tile:
        return frames * table["decode_tiled"] * min(sides[0], tile) * min(sides[1], tile)
    return frames * table["decode"] * pixels


def _interpolated(known: Sequence[int], values: Sequence[int], wanted: float) -> float:
    """Return the value at `wanted`; beyond both ends the lines go on."""
    right = min(max(bisect(known, wanted), 1), len(known) - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (known[right] - known[left])
    return values[left] + slope * (wanted - known[left])


@cache
def _tables() -> dict[str, _Table]:
    tables: dict[str, _Table] = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return tables
