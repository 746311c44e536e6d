"""One clip of the bench: made of a drawn picture, timed by its phases, and held against another one.

Owns what is the same in all trials: the picture, the seed, and where a phase ends. Deliberately does not know
what a clip is made for (`trials`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from i2v.bench.report import Figures
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Engine, Inputs, Ladder, SteppedDown

if TYPE_CHECKING:
    from i2v.bench.device import Gauge

Frames = NDArray[np.uint8]

POSTERIOR_SEED = 0


@dataclass(frozen=True)
class Clip:
    """(F, H, W, 3) frames; seconds by phase, "clip" being all, and the number of steps and of chunks."""

    frames: Frames
    seconds: dict[str, float]
    counts: dict[str, int]
    notices: tuple[Notice, ...]
    rungs: list[dict[str, object]]


def run_clip(
    engine: Engine,
    generation: Generation,
    gauge: Gauge,
    on_progress: Callable[[float], None],
    ladder: Ladder = NO_LADDER,
) -> Clip:
    """Run `engine` once; `on_progress` takes the share of the steps that is done.

    The device is waited for where a phase ends, not within: so does a job.
    """
    gauge.seed(POSTERIOR_SEED)
    chunks: list[Frames] = []
    notices: list[Notice] = []
    rungs: list[dict[str, object]] = []
    marks = {"start": gauge.now()}
    counts = {"denoise": 0, "decode": 0}
    for event in engine.generate(generation, Inputs(draw_clip_picture(generation)), ladder):
        if isinstance(event, Conditioned):
            marks["condition"] = gauge.now()
        elif isinstance(event, Denoised):
            counts["denoise"] += 1
            on_progress(event.step / event.total)
            if event.step == event.total:
                marks["denoise"] = gauge.now()
        elif isinstance(event, Decoded):
            counts["decode"] += 1
            chunks.append(event.frames)
        elif isinstance(event, SteppedDown):
            rungs.append(rung_of(event))
        if not isinstance(event, Denoised):
            notices.extend(event.notices)
    end = gauge.now()
    seconds = {"clip": end - marks["start"]}
    if "denoise" in marks:
        seconds["condition"] = marks["condition"] - marks["start"]
        seconds["denoise"] = marks["denoise"] - marks["condition"]
        seconds["decode"] = end - marks["denoise"]
    return Clip(np.concatenate(chunks), seconds, counts, tuple(notices), rungs)


def rung_of(event: SteppedDown) -> dict[str, object]:
    """Return what the report says of one step down."""
    return {"stage": event.stage, "changes": [notice.code for notice in event.notices]}


def compare_frames(ones: Frames, others: Frames) -> Figures:
    """Return how far apart two clips are, in levels of 255."""
    apart = np.abs(ones.astype(np.int16) - others)
    return {"max_difference": int(apart.max()), "mean_difference": float(apart.mean())}


def draw_clip_picture(generation: Generation) -> Image.Image:
    return draw_picture(generation.generated_width, generation.generated_height)


def draw_picture(width: int, height: int) -> Image.Image:
    """Draw hills before a sky: the same picture everywhere, so that reports can be compared."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    sky = np.stack([90 + 120 * down, 140 + 70 * down, 230 - 40 * down], axis=-1)
    for height_of, colour in ((0.55, (70, 110, 90)), (0.75, (40, 80, 45))):
        ridge = height_of + 0.08 * np.sin(9 * across + 20 * height_of)
        sky = np.where((down > ridge)[..., None], np.asarray(colour) * (1.2 - 0.4 * down[..., None]), sky)
    image = Image.fromarray(sky.clip(0, 255).astype(np.uint8))
    corner, side = (int(0.68 * width), int(0.14 * height)), min(width, height) // 7
    ImageDraw.Draw(image).ellipse((*corner, corner[0] + side, corner[1] + side), fill=(255, 236, 170))
    return image
