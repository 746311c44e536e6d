"""Print what each model takes of a card at its presets, diffusers' pipeline beside ours, as a table.

    python -m scripts.memory_table.compare [ENGINE ...]      # about 10 minutes on one core

GiB in float16, simulated on fake tensors: without a card and without weights. A step and decoding are tensors
beside the weights, at the most; a peak is the larger of them with all weights on the card, and the least is
our estimate of the plan that takes least. CUDA's context and what the allocator wastes come on top of each.
Stock is diffusers' pipeline as it is called without options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import get_args

from benchmarks.memory import activations
from benchmarks.memory import stock as stock_peaks
from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest, PresetName
from i2v.core.settings_sources import load_presets
from i2v.core.stages import Stage
from i2v.engines.animatediff.specs import ANIMATEDIFF, ANIMATEDIFF_LIGHTNING, ANIMATELCM
from i2v.engines.diffusion.estimates import frames_decoded_together
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.engines.svd.specs import SVD, SVD_XT
from i2v.memory.model import memory_model
from i2v.pipeline.resolve import resolve
from scripts.memory_table import animatediff_model, simulate, svd_model

GIB = 2**30
BYTES = 2  # of a float16
PLAN = MemoryPlan("cuda", "float16")


@dataclass(frozen=True)
class Taken:
    """GiB: a step and decoding beside the weights; `passes`: a step in two passes, 0 where there is none."""

    weights: float
    step: float
    passes: float
    decode: float

    @property
    def peak(self) -> float:
        return self.weights + max(self.step, self.decode)


Simulated = Callable[[Sequence[Generation]], list[Taken]]


def clips(spec: EngineSpec) -> Iterator[tuple[str, Generation]]:
    """Yield the clips that the presets make of a picture of the trained shape, with the presets' names."""
    picture = (1024, 576) if spec in (SVD, SVD_XT) else (512, 512)
    found: dict[tuple[int, ...], tuple[list[str], Generation]] = {}
    for name in get_args(PresetName):
        fields = {"engine": spec.name, "prompt": "", "preset": name, "seed": 0}
        if spec.capabilities.prompt == "required":
            fields["prompt"] = "any"
        made = resolve(GenerationRequest.parse(fields), spec, load_presets(), picture)[0]
        shape = (made.generated_width, made.generated_height, made.num_frames)
        found.setdefault(shape, ([], made))[0].append(name)
    for names, made in found.values():
        yield ", ".join(names), made


def rows_of(spec: EngineSpec, made: Generation) -> int:
    return 2 if spec in (SVD, SVD_XT) or made.guidance_scale > 1 else 1


def of_i2vgen_xl(made: Sequence[Generation], as_stock: bool) -> list[Taken]:
    found = []
    with simulate.build(simulate.published(), as_the_engine=not as_stock) as model:
        weights = BYTES * sum(model.weights().values())
        for each in made:
            passes = 0
            if as_stock:
                peaks = {stage: most - weights for stage, most in stock_peaks(model, each)[0].items()}
            else:
                peaks = activations(model, each, PLAN)
                passes = activations(model, each, MemoryPlan("cuda", "float16", cfg_passes=2))[Stage.DENOISE]
            found.append(_taken(weights, peaks[Stage.DENOISE], passes, peaks[Stage.DECODE]))
    return found


def of_others(
    spec: EngineSpec,
    build: Callable[..., AbstractContextManager[svd_model.Model | animatediff_model.Model]],
    made: Sequence[Generation],
    as_stock: bool,
) -> list[Taken]:
    found = []
    with build(as_the_engine=not as_stock) as model:
        weights = BYTES * sum(model.weights().values())
        for each in made:
            height, width, frames = each.generated_height, each.generated_width, each.num_frames
            latents, rows = (height // 8, width // 8, frames), rows_of(spec, each)
            alone = spec not in (SVD, SVD_XT)  # each frame is decoded by itself
            together = frames_decoded_together(PLAN, each) if alone and not as_stock else frames
            step = model.step(*latents, rows, 1).elements
            passes = model.step(*latents, rows, 2).elements if rows == 2 and not as_stock else 0
            decode = model.decode(height, width, together, as_stock=as_stock).elements
            found.append(_taken(weights, BYTES * step, BYTES * passes, BYTES * decode))
    return found


def _taken(*sizes: int) -> Taken:
    return Taken(*(size / GIB for size in sizes))


def least(spec: EngineSpec, made: Generation) -> float:
    """Return GiB by our estimate of the plan that takes least, without what CUDA takes for itself."""
    model = memory_model(spec)
    *_, plan = model.ways_down(PLAN, made)
    figures = model.estimate(spec, made, plan)
    assert figures is not None
    return max(stage.bytes for stage in figures.stages) / GIB


_DISTILLED = partial(animatediff_model.build, distilled=True)
ENGINES: dict[str, tuple[EngineSpec, Callable[[Sequence[Generation], bool], list[Taken]]]] = {
    "i2vgen-xl": (I2VGEN_XL, of_i2vgen_xl),
    "svd": (SVD, partial(of_others, SVD, svd_model.build)),
    "svd-xt": (SVD_XT, partial(of_others, SVD_XT, svd_model.build)),
    "animatediff": (ANIMATEDIFF, partial(of_others, ANIMATEDIFF, animatediff_model.build)),
    "animatediff-lightning": (ANIMATEDIFF_LIGHTNING, partial(of_others, ANIMATEDIFF_LIGHTNING, _DISTILLED)),
    "animatelcm": (ANIMATELCM, partial(of_others, ANIMATELCM, _DISTILLED)),
}
HEADING = (
    "model, presets", "clip", "weights", "diffusers: a step", "decoding", "peak",
    "i2v: a step", "in two passes", "decoding", "peak", "least",
)  # fmt: skip


def table(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table in Markdown."""
    yield from (f"| {' | '.join(HEADING)} |", "|---" * len(HEADING) + "|")
    for name in names:
        spec, simulated = ENGINES[name]
        presets, made = zip(*clips(spec), strict=True)
        for preset, clip, stock, ours in zip(
            presets, made, simulated(made, True), simulated(made, False), strict=True
        ):
            size = f"{clip.generated_width} x {clip.generated_height} x {clip.num_frames}"
            figures = (
                ours.weights, stock.step, stock.decode, stock.peak,
                ours.step, ours.passes, ours.decode, ours.peak, least(spec, clip),
            )  # fmt: skip
            shown = " | ".join(f"{figure:.2f}" if figure else "" for figure in figures)
            yield f"| {name}, {preset} | {size} | {shown} |"


def main() -> None:
    for line in table(sys.argv[1:] or list(ENGINES)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
