"""What a clip takes: bytes and floating-point operations by stage, before anything is loaded.

Pure and instant. The figures are those of `estimate.json`, which scripts/memory_table/make.py writes by
running the engine on fake tensors; engines that are not in it are not estimated. How much memory there is,
and what to do about it, is `memory`'s business, and seconds are `forecast`'s.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict

from i2v.core.schedules import evaluations
from i2v.core.schema import EngineSpec, Generation, MemoryPlan
from i2v.media.upscale import bytes_of

GIB = 2**30
# What CUDA's context, its libraries' workspaces and the allocator's waste take on the device. The context
# counts twice where free memory was measured beside it: on purpose, until a card has shown what is needed.
CONTEXT_BYTES = 3 * GIB // 2
# Python, torch and diffusers before any weights, and what kernels take on a CPU over what tensors do: both
# are held against real runs in tests/engines/i2vgen_xl/test_peak.py.
PROCESS_BYTES = 9 * GIB // 16
_CPU_BUFFERS = 1.75
CUDA_PROCESS_BYTES = 3 * GIB  # CUDA's libraries too: a guess, not measured
_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

# Half-precision operations a second, accumulated in float32, dense, from the makers' data sheets. What is
# found first counts, so longer names stand before those that they contain.
_CARDS = (
    ("H200|H100|H800", 989e12), ("A100|A800", 312e12), ("L40S", 362e12), ("L40", 181e12),
    ("A10G|A10", 125e12), ("RTX 6000 Ada", 364e12),
    ("RTX A6000", 155e12), ("L4", 121e12), ("V100", 125e12), ("T4", 65e12),
    ("5090", 209e12), ("5080", 113e12), ("5070 Ti", 88e12), ("5070", 62e12),
    ("4090", 165e12), ("4080", 97e12), ("4070 Ti", 80e12), ("4070", 58e12),
    ("4060 Ti", 44e12), ("4060", 30e12), ("3090", 71e12), ("3080", 60e12), ("3070", 41e12), ("3060", 26e12),
)  # fmt: skip
# Of that, what I2VGen-XL was seen to reach: 0.29 on an A100, 0.25 on an RTX 4090, both as published.
_REACHED = 0.27

StageName = Literal["condition", "denoise", "decode"]


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


@dataclass(frozen=True)
class Stage:
    """What the device holds at the most in a stage, in bytes, and the operations of the whole stage."""

    name: StageName
    weights: int
    activations: int
    flops: float

    @property
    def bytes(self) -> int:
        return self.weights + self.activations


@dataclass(frozen=True)
class Estimate:
    """What a clip takes under a plan.

    Attributes:
        device_bytes: of the device at the most, CUDA's context included.
        ram_bytes: of CPU memory at the most; the same on a CPU.
        moved_bytes: that offloading moves to the device and back for one clip.
    """

    stages: tuple[Stage, ...]
    device_bytes: int
    ram_bytes: int
    moved_bytes: int

    @property
    def flops(self) -> float:
        return sum(stage.flops for stage in self.stages)

    def stage(self, name: StageName) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def estimate(spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
    """Return what `generation` takes under `plan`, `None` where the engine was not measured."""
    table = _tables().get(spec.name)
    if table is None:
        return None
    item = _ITEM_BYTES[plan.dtype]
    weights = {part: count * item for part, count in table["weights"].items()}
    pixels = generation.generated_width * generation.generated_height
    linear, squared = table["flops"]["encode"]
    encode_flops = linear * pixels + squared * pixels**2
    linear, squared = table["flops"]["decode"]
    decode_flops = (linear * pixels + squared * pixels**2) * generation.num_frames
    held = {name: sum(weights[part] for part in parts) for name, parts in _resident(plan).items()}
    stages: tuple[Stage, ...] = (
        Stage("condition", held["condition"], int(table["encode"] * pixels * item), encode_flops),
        Stage("denoise", held["denoise"], _step_numbers(table, generation, plan) * item,
              denoise_flops(generation, plan.cfg_passes)),
        Stage("decode", held["decode"], int(_decode_numbers(table, pixels, generation, plan) * item),
              decode_flops),
    )  # fmt: skip
    if plan.device == "cpu":
        stages = tuple(replace(each, activations=int(_CPU_BUFFERS * each.activations)) for each in stages)
    most, enlarging = max(stage.bytes for stage in stages), bytes_of(generation)
    if plan.device == "cpu":
        taken = most + PROCESS_BYTES + enlarging
        return Estimate(stages, taken, taken, 0)
    away = {"none": 0, "encoders": _encoders(weights), "model": sum(weights.values())}[plan.offload]
    moved = away + (weights["vae"] if plan.offload == "model" else 0)  # it encodes and decodes
    return Estimate(stages, most + CONTEXT_BYTES, CUDA_PROCESS_BYTES + away + enlarging, 2 * moved)


def metered(figures: Estimate, plan: MemoryPlan) -> dict[StageName, int]:
    """Return the bytes that `usage.PeakMeter` should read in each stage: on a CPU, of the whole process."""
    process = PROCESS_BYTES if plan.device == "cpu" else 0
    return {stage.name: stage.bytes + process for stage in figures.stages}


def denoise_flops(generation: Generation, cfg_passes: int = 1) -> float:
    """Return the operations of all denoising steps."""
    return step_flops(generation, cfg_passes) * evaluations(generation.speed, generation.num_inference_steps)


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


def guessed_rate(device_name: str) -> float | None:
    """Return the operations a second that a CUDA device of this name should reach in half precision."""
    for pattern, peak in _CARDS:
        if re.search(rf"\b({pattern})\b", device_name):
            return peak * _REACHED
    return None


def _resident(plan: MemoryPlan) -> dict[StageName, tuple[str, ...]]:
    """Return which parts' weights are on the device in each stage (`Components.on_device`)."""
    encoders, rest = ("text_encoder", "image_encoder"), ("unet", "vae")
    if plan.device == "cpu" or plan.offload == "none":
        return dict.fromkeys(("condition", "denoise", "decode"), encoders + rest)
    if plan.offload == "encoders":
        return {"condition": encoders + rest, "denoise": rest, "decode": rest}
    return {"condition": (*encoders, "vae"), "denoise": ("unet",), "decode": ("vae",)}


def _encoders(weights: dict[str, int]) -> int:
    return weights["text_encoder"] + weights["image_encoder"]


def _step_numbers(table: _Table, generation: Generation, plan: MemoryPlan) -> int:
    area = generation.generated_width * generation.generated_height // table["scale"] ** 2
    rows = "unguided" if generation.guidance_scale <= 1 else ("one_pass", "two_passes")[plan.cfg_passes - 1]
    # What grows does so with volume and chunk alike: at c times both, it is c times as much. What does not is
    # what the prompt and the picture are known by.
    chunks = (plan.chunk_tokens or table["chunk_tokens"]) / table["chunk_tokens"]
    fixed = _interpolated(table["volumes"], table["step"][rows], 0)
    peak = _interpolated(table["volumes"], table["step"][rows], area * generation.num_frames / chunks)
    return round(fixed + (peak - fixed) * chunks)


def _decode_numbers(table: _Table, pixels: int, generation: Generation, plan: MemoryPlan) -> float:
    chunk = plan.decode_chunk or max(1, table["chunk_pixels"] // pixels)
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
    tables: dict[str, _Table] = json.loads(Path(__file__).with_name("estimate.json").read_bytes())
    return tables
