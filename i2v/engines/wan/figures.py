"""What parts and stages of a clip of this family take, by `memory.json` and `memory_a14b.json`.

scripts/memory_table/make_wan.py writes these by running the engine on fake tensors. Pure and instant; imports
no torch. What is on a device at once is `memory`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import ITEM_BYTES, interpolated, of_pixels

_SCALE_BYTES = 4  # of each row that is kept in float8
_UNPACKING = 8  # bytes a number of the largest layer in GGUF, as it is unpacked: Q5_K, which takes most, 7.2
# What of a part's peak is there while its largest layer computes, by simulations of 512 to 65,536 tokens.
_BESIDE_LAYER = {"transformer": 0.72, "transformer_2": 0.72, "text_encoder": 0.42}
_VAE_ITEM = 4  # it is in float32, whatever the plan says
_PIXEL_BYTES = 12  # of a clip that is decoded in tiles, in CPU memory
_FRAMES_OF_A_LATENT = 4


class _Flops(TypedDict):
    step: list[float]  # of one row: tokens, tokens squared, 1
    read: float  # of one prompt
    encode: list[float]  # of the first latent frame: pixels, pixels squared
    encode_more: list[float]  # of each other, where the VAE sees a whole clip
    decode_first: list[float]  # of the first latent frame
    decode: list[float]  # of each other


class _Float8(TypedDict):
    """What of a part is kept in float8: numbers, and rows with a scale; the same of the largest block."""

    numbers: int
    rows: int
    streamed_numbers: int
    streamed_rows: int
    layer: int  # numbers of the largest weight, which is there in full while it computes


class Table(TypedDict):
    """See scripts/memory_table/make_wan.py. Weights are in numbers, all else in bytes.

    What depends on the type is by the bytes of a number.
    """

    weights: dict[str, int]
    streamed: dict[str, int]  # numbers that are there at once where blocks come one by one
    lora: int  # numbers of a LoRA of rank 64, of all linear layers of a transformer's blocks
    blocks: int
    float8: dict[str, _Float8]
    scale: int
    tile: int
    chunk_tokens: int
    tokens: list[int]
    step: dict[str, dict[str, list[int]]]  # by the rows at once
    read: dict[str, int]  # of one prompt
    encode: float  # of a pixel
    encode_clip: float  # where the VAE sees a whole clip: along a camera's path
    decode: float
    flops: _Flops


@dataclass(frozen=True)
class Steps:
    """The parts that denoise, how many steps are whose, and how many rows these have."""

    experts: tuple[str, ...]
    counts: tuple[int, ...]
    rows_of: tuple[int, ...]

    @property
    def rows(self) -> int:
        """The most of a step."""
        return max(self.rows_of)

    def evaluations(self, most: int) -> int:
        """Return how often an expert runs where it takes all its rows, at `most` so many of them, apart."""
        of_each = zip(self.counts, self.rows_of, strict=False)
        return sum(count * min(most, rows) for count, rows in of_each)


def sizes(
    table: Table, steps: Steps, generation: Generation, plan: MemoryPlan, in_gguf: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bytes of each part, LoRAs with it, and what of it is there where its blocks come one by one.

    Nobody has seen a LoRA's file here: a rank of 64 is usual.
    """
    item = ITEM_BYTES[plan.dtype]
    weights, streamed = (
        {part: count * (_VAE_ITEM if part == "vae" else item) for part, count in table[name].items()}
        for name in ("weights", "streamed")
    )
    for part, kept in table["float8"].items():
        if part in in_gguf:  # what is not in blocks may be wider than in the file
            beside = streamed[part] - kept["streamed_numbers"] * item
            weights[part] = in_gguf[part] + beside
            streamed[part] = in_gguf[part] * kept["streamed_numbers"] // kept["numbers"] + beside
        elif _in_float8(plan):
            weights[part] -= kept["numbers"] * (item - 1) - kept["rows"] * _SCALE_BYTES
            streamed[part] -= kept["streamed_numbers"] * (item - 1) - kept["streamed_rows"] * _SCALE_BYTES
    for part, count in _loras(steps, generation).items():
        weights[part] += count * table["lora"] * item
        streamed[part] += count * table["lora"] // table["blocks"] * item
    return weights, streamed


def _loras(steps: Steps, generation: Generation) -> dict[str, int]:
    """Return how many LoRAs the transformer has that has the most of them, for each."""
    strengths = [(lora.strength, lora.strength_2) for lora in generation.loras]
    count = max((sum(bool(each) for each in of_one) for of_one in zip(*strengths, strict=True)), default=0)
    return dict.fromkeys(steps.experts, count)


def conditioning(
    table: Table, steps: Steps, generation: Generation, plan: MemoryPlan
) -> list[tuple[str, int]]:
    """Return the two parts that the stage runs, each with its bytes beside weights."""
    pixels, each = generation.generated_width * generation.generated_height, table["encode"]
    if _encodes_a_clip(steps, generation):  # in tiles too
        pixels, each = _pixels_at_once(table, generation, plan), table["encode_clip"]
    # one prompt after the other
    read = _beside_layer(table, plan, "text_encoder", table["read"][str(ITEM_BYTES[plan.dtype])])
    return [("text_encoder", read), ("vae", int(each * pixels))]


def computing(
    table: Table, steps: Steps, generation: Generation, plan: MemoryPlan, in_gguf: Collection[str]
) -> dict[Stage, tuple[int, float]]:
    """Return each stage's bytes beside weights, and its operations."""
    pixels = generation.generated_width * generation.generated_height
    flops, more = table["flops"], (generation.num_frames - 1) // _FRAMES_OF_A_LATENT
    step = _step_bytes(table, steps, generation, plan)
    made = evaluations(generation.speed, generation.num_inference_steps, generation.strength)
    on_cpu = clip_bytes(table, generation, plan) if plan.device == "cpu" else 0
    encoding = of_pixels(flops["encode"], pixels)
    clips = (len(steps.experts) > 1) + (generation.strength < 1)  # of a clip's ends, and along a path
    encoding += max(0, clips - 1) * encoding + clips * more * of_pixels(flops["encode_more"], pixels)
    return {
        Stage.CONDITION: (
            max(activations for _, activations in conditioning(table, steps, generation, plan)),
            steps.rows * flops["read"] + encoding,
        ),
        Stage.DENOISE: (
            max(_beside_layer(table, plan, part, step, in_gguf) for part in steps.experts),
            step_flops(table, steps, generation) * made,
        ),
        Stage.DECODE: (
            int(table["decode"] * _pixels_at_once(table, generation, plan)) + on_cpu,
            of_pixels(flops["decode_first"], pixels) + more * of_pixels(flops["decode"], pixels),
        ),
    }


def _encodes_a_clip(steps: Steps, generation: Generation) -> bool:
    """Tell whether the VAE sees a whole clip, with two experts for its ends, else along a camera's path."""
    return len(steps.experts) > 1 or generation.strength < 1


def _in_float8(plan: MemoryPlan) -> bool:
    return plan.storage_dtype == "float8_e4m3fn"


def _beside_layer(table: Table, plan: MemoryPlan, part: str, peak: int, in_gguf: Collection[str] = ()) -> int:
    """Return the peak of a part with its largest weight in full, as a packed layer computes with it."""
    if part not in in_gguf and not _in_float8(plan):
        return peak
    item = _UNPACKING if part in in_gguf else ITEM_BYTES[plan.dtype]
    return max(peak, int(_BESIDE_LAYER[part] * peak) + item * table["float8"][part]["layer"])


def step_flops(table: Table, steps: Steps, generation: Generation) -> float:
    """Return the operations of a step, the mean of the experts'."""
    tokens = _tokens(table, generation)
    each, squared, fixed = table["flops"]["step"]
    rows = steps.evaluations(2) / max(1, sum(steps.counts))
    return rows * (each * tokens + squared * tokens**2 + fixed)


def _tokens(table: Table, generation: Generation) -> int:
    """Return the tokens of a clip: one of each 2 x 2 latents of a latent frame."""
    area = generation.generated_width * generation.generated_height // (2 * table["scale"]) ** 2
    return area * ((generation.num_frames - 1) // _FRAMES_OF_A_LATENT + 1)


def _step_bytes(table: Table, steps: Steps, generation: Generation, plan: MemoryPlan) -> int:
    rows = -(-steps.rows // plan.cfg_passes)
    known, peaks = table["tokens"], table["step"][str(ITEM_BYTES[plan.dtype])][str(rows)]
    # What grows does so with tokens and chunk alike: at c times both, it is c times as much.
    chunks = (plan.chunk_tokens or table["chunk_tokens"]) / table["chunk_tokens"]
    fixed = interpolated(known, peaks, 0)
    peak = interpolated(known, peaks, _tokens(table, generation) / chunks)
    return round(fixed + (peak - fixed) * chunks)


def _is_tiled(table: Table, generation: Generation, plan: MemoryPlan) -> bool:
    return plan.vae_tiling and max(generation.generated_width, generation.generated_height) > table["tile"]


def _pixels_at_once(table: Table, generation: Generation, plan: MemoryPlan) -> int:
    sides, tile = (generation.generated_width, generation.generated_height), table["tile"]
    if _is_tiled(table, generation, plan):
        return min(sides[0], tile) * min(sides[1], tile)
    return sides[0] * sides[1]


def clip_bytes(table: Table, generation: Generation, plan: MemoryPlan) -> int:
    """Return what a clip takes of CPU memory while it is decoded in tiles."""
    if not _is_tiled(table, generation, plan):
        return 0
    pixels = generation.generated_width * generation.generated_height
    return _PIXEL_BYTES * pixels * generation.num_frames


@cache
def read_table(file: str) -> Table:
    table: Table = json.loads(Path(__file__).with_name(file).read_bytes())
    return table
