"""What families' `MemoryModel`s share: figures of a process and a device, and how stages become an estimate.

Imports no torch. What a stage takes is the family's business, and its `memory.json`'s.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.media.upscale import bytes_of
from i2v.memory.model import GIB, Estimate, StageEstimate

STAGES = (Stage.CONDITION, Stage.DENOISE, Stage.DECODE)

# What CUDA's context, its libraries' workspaces and the allocator's waste take on the device. The context
# counts twice where free memory was measured beside it: on purpose, until a card has shown what is needed.
CONTEXT_BYTES = 3 * GIB // 2
# Nothing is added for a CUDA graph's pool: it is assumed to hold what one step does at the most, which is
# what the step before it held and has given back. No card has shown it yet.
# Python, torch and diffusers before any weights, and what kernels take on a CPU over what tensors do: both
# are held against real runs of I2VGen-XL in tests/engines/i2vgen_xl/test_peak.py.
PROCESS_BYTES = 9 * GIB // 16
_CPU_BUFFERS = 1.75
CUDA_PROCESS_BYTES = 3 * GIB  # CUDA's libraries too: a guess, not measured
ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

# Pixels that the VAE decodes at a time on CUDA. Measured on an H200, 16 frames of 512 x 512 took 221 ms
# together, 238 in two parts, 420 one by one.
CUDA_CHUNK_PIXELS = 2**22
# Larger batches than this only take longer on a CPU: measured at 128 and 256 pixels, benchmarks/stock.py.
CHUNK_PIXELS = 2**15


def estimated(
    figures: Mapping[Stage, tuple[int, float]],
    resident: Mapping[Stage, Sequence[str]],
    encoders: Sequence[str],
    weights: Mapping[str, int],
    plan: MemoryPlan,
    generation: Generation,
    streamed: Mapping[str, int] | None = None,
) -> Estimate:
    """Return the estimate of a clip.

    Args:
        figures: each stage's bytes beside weights, and its operations.
        resident: the parts whose weights are on the device in each stage; `encoders`: those that "encoders"
            offloads.
        weights: bytes of each part; "vae" encodes and decodes.
        streamed: bytes that are on the device at once of parts whose blocks come one by one where they are
            offloaded (`PlacedParts.blocks_of`).
    """
    away = {"none": (), "encoders": tuple(encoders), "model": tuple(weights)}[plan.offload]
    there = dict(weights)
    if plan.device != "cpu":
        there |= {part: count for part, count in (streamed or {}).items() if part in away}
    stages = tuple(
        StageEstimate(stage, sum(there[part] for part in resident[stage]), activations, flops)
        for stage, (activations, flops) in figures.items()
    )
    if plan.device == "cpu":
        stages = tuple(replace(each, activations=int(_CPU_BUFFERS * each.activations)) for each in stages)
    most, enlarging = max(stage.bytes for stage in stages), bytes_of(generation)
    if plan.device == "cpu":
        taken = most + PROCESS_BYTES + enlarging
        return Estimate(stages, taken, taken, process_bytes=PROCESS_BYTES)
    at_home = sum(weights[part] for part in away)
    moved = at_home + (weights["vae"] if plan.offload == "model" else 0)
    return Estimate(stages, most + CONTEXT_BYTES, CUDA_PROCESS_BYTES + at_home + enlarging, moved)


def resident_parts(
    plan: MemoryPlan, encoders: Sequence[str], unet: Sequence[str] = ("unet",)
) -> dict[Stage, tuple[str, ...]]:
    """Return which parts are on the device in each stage (`PlacedParts.on_device`)."""
    rest = (*unet, "vae")
    if plan.device == "cpu" or plan.offload == "none":
        return dict.fromkeys(STAGES, (*encoders, *rest))
    if plan.offload == "encoders":
        return {Stage.CONDITION: (*encoders, *rest), Stage.DENOISE: rest, Stage.DECODE: rest}
    return {Stage.CONDITION: (*encoders, "vae"), Stage.DENOISE: tuple(unet), Stage.DECODE: ("vae",)}


def frames_decoded_together(plan: MemoryPlan, generation: Generation) -> int:
    """Return how many frames a VAE that looks at each frame alone decodes at a time."""
    pixels = generation.generated_width * generation.generated_height
    together = CUDA_CHUNK_PIXELS if plan.device == "cuda" else CHUNK_PIXELS
    return min(plan.decode_chunk or max(1, together // pixels), generation.num_frames)


def fewer_frames(plan: MemoryPlan, generation: Generation) -> Iterator[int]:
    """Yield what such a VAE may decode at a time instead: on CUDA half as many, and so on, elsewhere one."""
    chunk = plan.decode_chunk
    if plan.device == "cuda":
        chunk = frames_decoded_together(plan, generation)
        while chunk > 3:
            chunk //= 2
            yield chunk
    if chunk != 1:
        yield 1


def of_pixels(coefficients: Sequence[float], pixels: int) -> float:
    """Return the operations of a VAE on a frame, or a picture."""
    linear, squared = coefficients
    return linear * pixels + squared * pixels**2


def interpolated(known: Sequence[int], values: Sequence[int], wanted: float) -> float:
    """Return the value at `wanted`; beyond both ends the lines go on."""
    right = min(max(bisect(known, wanted), 1), len(known) - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (known[right] - known[left])
    return values[left] + slope * (wanted - known[left])
