"""What the published model takes of a card, stock and ours: simulated, without a card and without weights.

    python -m benchmarks.memory --json memory.json      # about 4 minutes on one core

A peak is the weights on the card and the tensors that are alive at once, in float16, of the stage that takes
most; counted on fake tensors (`scripts.memory_table.simulate`). CUDA's context, what kernels take for
themselves and what the allocator wastes come on top: without a card they are not known, and not in these
figures.

Stock is diffusers' pipeline as it is called without options: guidance as one batch, decoding frame by frame;
with all parts on the card, and with its `enable_model_cpu_offload`. Ours is run by the plan that
`memory.plan_memory` makes for a card (with room for what the figures lack), and by the one that takes least.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import torch
from diffusers import I2VGenXLPipeline

from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest, PresetName
from i2v.core.settings_sources import load_presets, load_settings
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import CONTEXT_BYTES, CUDA_CHUNK_PIXELS
from i2v.engines.i2vgen_xl.memory import ALL_TOKENS, MEMORY
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.memory.model import GIB
from i2v.memory.options import explain
from i2v.memory.plan import plan_by_settings, plan_memory
from i2v.pipeline.resolve import resolve
from scripts.memory_table import simulate
from scripts.memory_table.simulate import Model, counting

BYTES = 2  # of a float16
CARDS = (24, 12, 8)  # GB
Peaks = dict[Stage, int]  # bytes


@dataclass(frozen=True)
class Row:
    """The peaks of one size of clip, in bytes: stock's and, by the card that the plan was made for, ours."""

    name: str
    width: int
    height: int
    num_frames: int
    stock: Peaks
    stock_offloaded: Peaks
    ours: dict[str, Ours]


@dataclass(frozen=True)
class Ours:
    """`fits`: what `plan_memory` says of the card; `None` for the plan that takes least, on any card."""

    plan: MemoryPlan
    fits: bool | None
    peaks: Peaks


def sizes() -> Iterator[tuple[str, Generation]]:
    """Yield the presets with a square picture, and the size in the model's name."""
    for name in get_args(PresetName):
        yield name, _generation(preset=name)
    yield "wide", _generation(width=1280, height=704, num_frames=16)


def _generation(**fields: object) -> Generation:
    request = GenerationRequest.parse({"prompt": "any", "seed": 0, **fields})
    return resolve(request, I2VGEN_XL, load_presets(), (512, 512))[0]


# --- stock


def stock(model: Model, asked: Generation) -> tuple[Peaks, Peaks]:
    """Return diffusers' peaks with all parts on the card, and with each there for its own computing alone."""
    weights = {part: BYTES * count for part, count in model.weights().items()}
    encoding = BYTES * model.encode(asked.generated_height, asked.generated_width).elements
    denoising = BYTES * _stock_step(model, asked)
    decoding = BYTES * _stock_decode(model, asked)
    everything = sum(weights.values())
    alone = max(weights["text_encoder"], weights["image_encoder"], weights["vae"] + encoding)
    return (
        {
            "condition": everything + encoding,
            "denoise": everything + denoising,
            "decode": everything + decoding,
        },
        {"condition": alone, "denoise": weights["unet"] + denoising, "decode": weights["vae"] + decoding},
    )


def _latents(model: Model, asked: Generation) -> torch.Tensor:
    sides = (asked.generated_height // model.scale, asked.generated_width // model.scale)
    return torch.empty(1, model.unet.config.in_channels, asked.num_frames, *sides)


def _stock_step(model: Model, asked: Generation) -> int:
    latents = _latents(model, asked)
    given = model.conditioning(2, *latents.shape[1:])
    with counting() as counted:
        prediction = model.unet(
            torch.cat([latents] * 2),
            torch.tensor(981),
            fps=given.fps,
            image_latents=given.image_latents.contiguous(),
            image_embeddings=given.image_embeddings,
            encoder_hidden_states=given.prompt_embeds,
            return_dict=False,
        )
        del prediction
    return counted[0].elements


def _stock_decode(model: Model, asked: Generation) -> int:
    latents = _latents(model, asked)
    with counting() as counted:
        # its own method; of the pipeline it needs the VAE alone
        I2VGenXLPipeline.decode_latents(SimpleNamespace(vae=model.vae), latents, decode_chunk_size=1)
    return counted[0].elements


# --- ours


def activations(model: Model, asked: Generation, plan: MemoryPlan) -> Peaks:
    """Return the bytes of each stage apart from weights; where the model waits does not count."""
    height, width, frames = asked.generated_height, asked.generated_width, asked.num_frames
    latents = (height // model.scale, width // model.scale, frames)
    chunk = min(plan.decode_chunk or max(1, CUDA_CHUNK_PIXELS // (height * width)), frames)
    tokens = plan.chunk_tokens or ALL_TOKENS
    tiling = plan.vae_tiling and max(height, width) > model.vae.config.sample_size
    return {
        "condition": BYTES * model.encode(height, width).elements,
        "denoise": BYTES * model.step(*latents, 2, plan.cfg_passes, tokens).elements,
        "decode": BYTES * model.decode(height, width, chunk, tiling).elements,
    }


def ours(model: Model, asked: Generation) -> dict[str, Ours]:
    """Return our peaks by each of `plans`."""
    simulated: dict[MemoryPlan, Peaks] = {}
    found = {}
    for label, plan, fits in plans(asked):
        resident = replace(plan, offload="none")
        if resident not in simulated:
            simulated[resident] = activations(model, asked, resident)
        figures = MEMORY.estimate(I2VGEN_XL, asked, plan)
        assert figures is not None
        peaks = {stage.name: stage.weights + simulated[resident][stage.name] for stage in figures.stages}
        found[label] = Ours(plan, fits, peaks)
    return found


def plans(asked: Generation) -> Iterator[tuple[str, MemoryPlan, bool | None]]:
    """Yield (name, plan, whether it fits) for each of `CARDS`, and the plan that takes least."""
    options = load_settings().engine
    for gib in CARDS:
        planned = plan_memory(I2VGEN_XL, asked, card(gib), options)
        yield f"{gib} GB", planned.plan, planned.fits
    *_, least = MEMORY.ways_down(plan_by_settings(I2VGEN_XL, card(CARDS[-1]), options), asked)
    yield "least", least, None


def card(gib: int) -> DeviceInfo:
    return DeviceInfo("cuda", f"a card with {gib} GB", gib * GIB)


# --- all of it


def measure(asked: Sequence[tuple[str, Generation]]) -> list[Row]:
    with simulate.build(simulate.published(), as_the_engine=False) as model:
        theirs = [stock(model, generation) for _, generation in asked]
    rows = []
    with simulate.build(simulate.published()) as model:
        for (name, made), (resident, offloaded) in zip(asked, theirs, strict=True):
            size = (made.generated_width, made.generated_height, made.num_frames)
            rows.append(Row(name, *size, resident, offloaded, ours(model, made)))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the peaks in GiB as a table in Markdown."""
    labels = list(rows[0].ours)
    heading = ["", "stock", "stock, offloaded", *(f"ours, {label}" for label in labels)]
    lines = [heading, ["---"] * len(heading)]
    for row in rows:
        size = f"{row.width}x{row.height}x{row.num_frames}"
        reported = [_told(row.stock), _told(row.stock_offloaded)]
        lines.append([size, *reported, *(_told_ours(row.ours[label]) for label in labels)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _told(peaks: Peaks) -> str:
    return f"{max(peaks.values()) / GIB:.2f}"


def _told_ours(side: Ours) -> str:
    if side.fits is False:
        return "does not fit"
    done = ", ".join(notice.code.removeprefix("plan.") for notice in explain(side.plan))
    return f"{_told(side.peaks)} ({done.replace('_', ' ') or 'plain'})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulated peaks of the published model, stock and ours.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, in bytes")
    path: Path | None = parser.parse_args().json
    rows = measure(list(sizes()))
    if path is not None:
        answer = {"context_bytes_on_top": CONTEXT_BYTES, "rows": [asdict(row) for row in rows]}
        path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    print("GiB: weights and activations, float16, guided; the context comes on top")
    print(table(rows))


if __name__ == "__main__":
    main()
