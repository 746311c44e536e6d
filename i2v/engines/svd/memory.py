"""What a clip of this family takes: bytes and floating-point operations by stage, and the ways to take less.

Pure and instant; imports no torch. The figures are those of `memory.json`, which
scripts/memory_table/make_svd.py writes by running the engine on fake tensors. How much memory there is, and
what to do about it, is `i2v.memory.plan`'s business.
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
from i2v.engines.svd.options import options_of
from i2v.media.upscale import bytes_of
from i2v.memory.model import GIB, Estimate, StageEstimate

STAGES = (Stage.CONDITION, Stage.DENOISE, Stage.DECODE)
ARCHITECTURE = "svd"  # of the table, by `EngineSpec.tensor_table`

# As I2VGen-XL has them: CUDA's context and the allocator's waste, a process before any weights, what kernels
# take on a CPU over what tensors do, and a process with CUDA's libraries. None was measured with this model.
CONTEXT_BYTES = 3 * GIB // 2
PROCESS_BYTES = 9 * GIB // 16
_CPU_BUFFERS = 1.75
CUDA_PROCESS_BYTES = 3 * GIB
_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

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
        return _estimate(generation, plan) if spec.tensor_table == ARCHITECTURE else None

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


def _estimate(generation: Generation, plan: MemoryPlan) -> Estimate:
    table, item = _table(), _ITEM_BYTES[plan.dtype]
    weights = {part: count * item for part, count in table["weights"].items()}
    held = {name: sum(weights[part] for part in parts) for name, parts in _resident(plan).items()}
    stages = tuple(
        StageEstimate(stage, held[stage], activations, flops)
        for stage, (activations, flops) in _computing(table, generation, plan).items()
    )
    if plan.device == "cpu":
        stages = tuple(replace(each, activations=int(_CPU_BUFFERS * each.activations)) for each in stages)
    most, enlarging = max(stage.bytes for stage in stages), bytes_of(generation)
    if plan.device == "cpu":
        taken = most + PROCESS_BYTES + enlarging
        return Estimate(stages, taken, taken, process_bytes=PROCESS_BYTES)
    encoder, whole = weights["image_encoder"], sum(weights.values())
    away = {"none": 0, "encoders": encoder, "model": whole}[plan.offload]
    moved = away + (weights["vae"] if plan.offload == "model" else 0)  # it encodes and decodes
    return Estimate(stages, most + CONTEXT_BYTES, CUDA_PROCESS_BYTES + away + enlarging, 2 * moved)


def _computing(table: _Table, generation: Generation, plan: MemoryPlan) -> dict[Stage, tuple[int, float]]:
    """Return each stage's bytes beside weights, and its operations."""
    item, frames = _ITEM_BYTES[plan.dtype], generation.num_frames
    pixels = generation.generated_width * generation.generated_height
    # Half precision is too narrow for this VAE's encoder, which then runs in float32 (`conditioning`).
    encoder_item = 4 if plan.dtype == "float16" else item
    together = frames_at_once(plan.decode_chunk, plan.vae_tiling, frames)
    decode = _interpolated(table["frames"], table["decode"], together)
    steps = evaluations("exact", generation.num_inference_steps, generation.strength)
    denoise = MEMORY.step_flops(generation) * steps
    return {
        Stage.CONDITION: (
            int(table["encode"] * pixels * encoder_item),
            _of_pixels(table["flops"]["encode"], pixels),
        ),
        Stage.DENOISE: (_step_numbers(table, generation, plan) * item, denoise),
        Stage.DECODE: (
            int(decode * pixels * item),
            _of_pixels(table["flops"]["decode"], pixels) * frames,
        ),
    }


def _of_pixels(coefficients: Sequence[float], pixels: int) -> float:
    linear, squared = coefficients
    return linear * pixels + squared * pixels**2


def _resident(plan: MemoryPlan) -> dict[Stage, tuple[str, ...]]:
    """Return which parts' weights are on the device in each stage (`Components.on_device`)."""
    if plan.device == "cpu" or plan.offload == "none":
        return dict.fromkeys(STAGES, ("image_encoder", "unet", "vae"))
    if plan.offload == "encoders":
        rest = ("unet", "vae")
        return {Stage.CONDITION: ("image_encoder", *rest), Stage.DENOISE: rest, Stage.DECODE: rest}
    return {Stage.CONDITION: ("image_encoder", "vae"), Stage.DENOISE: ("unet",), Stage.DECODE: ("vae",)}


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
    fixed = _interpolated(table["volumes"], peaks, 0)
    peak = _interpolated(table["volumes"], peaks, volume / chunks)
    return round(fixed + (peak - fixed) * chunks) + waiting


def _interpolated(known: Sequence[int], values: Sequence[int], wanted: float) -> float:
    """Return the value at `wanted`; beyond both ends the lines go on."""
    right = min(max(bisect(known, wanted), 1), len(known) - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (known[right] - known[left])
    return values[left] + slope * (wanted - known[left])


@cache
def _table() -> _Table:
    table: _Table = json.loads(Path(__file__).with_name("memory.json").read_bytes())
    return table
