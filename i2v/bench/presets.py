"""The four presets as jobs make them, beside the estimate and what was published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast, get_args

from i2v.bench.checks import QUICK_STEPS, Lab, attempt, no_room, of_clip
from i2v.bench.published import PRESETS
from i2v.bench.report import Figures, Row
from i2v.bench.trials import make_video
from i2v.core.schema import PresetName, Speed


def check_presets(lab: Lab) -> Iterator[Row]:
    """Each preset as a job makes it, beside the estimate and what was published."""
    for name in get_args(PresetName):
        yield attempt("presets", name, lambda name=name: _preset(lab, name))  # type: ignore[misc]


def _preset(lab: Lab, name: PresetName) -> Row:
    generation, planned = lab.preset(name, _speed(lab))
    known: Figures = {"published": None}
    if lab.spec.published:  # the figures are of that model
        known = {"published": PRESETS[name].to_dict()}
    if planned.estimate is not None:
        known["estimate"] = {
            "seconds": lab.guessed_seconds(planned),
            "bytes": planned.estimate.device_bytes,
            "stages": [vars(stage) for stage in planned.estimate.stages],
        }
    if reason := no_room(planned):
        return Row("presets", name, "skipped", reason, figures=of_clip(generation, planned.plan, **known))
    trial = lab.trial(generation, planned)
    if lab.is_quick:
        trial = trial.with_steps(min(QUICK_STEPS, generation.num_inference_steps))
    figures = lab.measure(make_video, trial, name)
    steps_run = trial.generation.num_inference_steps
    if steps_run < generation.num_inference_steps:
        _extend(figures, generation.num_inference_steps - steps_run)
    return Row(
        "presets",
        name,
        "ok",
        figures=of_clip(generation, planned.plan, **known, **figures, steps_run=steps_run),
    )


def _speed(lab: Lab) -> Speed:
    """Return how jobs run; what few steps take tells of more only where each of them is the same."""
    return "exact" if lab.is_quick else "auto"


def _extend(figures: Figures, steps: int) -> None:
    """Add what `steps` more steps would take, by those that were run after the first."""
    seconds = cast("dict[str, float]", figures["seconds"])
    for phase in ("denoise", "clip"):
        seconds[phase] += steps * seconds["step"]


def work_of_presets(lab: Lab) -> float:
    work = 0.0
    for name in get_args(PresetName):
        generation, planned = lab.preset(name, _speed(lab))
        if lab.is_quick:
            generation = replace(generation, num_inference_steps=QUICK_STEPS)
        work += 0.0 if planned.fits is False else lab.work(generation)
    return work
