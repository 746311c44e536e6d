"""diffusers' own pipeline and ours, the same clip: seconds, memory, frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from i2v.bench.checks import QUICK_STEPS, Lab, attempt, no_room, of_clip
from i2v.bench.clips import Frames, compare_frames
from i2v.bench.report import Figures, Row
from i2v.bench.trials import Trial, time_clip
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, Offload
from i2v.core.schema import PresetName
from i2v.memory.plan import Planned

# diffusers' own pipeline behind the contract of engines, by what it is compared with.
STOCK = {
    "i2v.engines.i2vgen_xl.engine:I2VGenXLEngine": "i2v.engines.i2vgen_xl.stock:StockEngine",
    "i2v.engines.svd.engine:SVDEngine": "i2v.engines.svd.stock:StockEngine",
    "i2v.engines.animatediff.engine:AnimateDiffEngine": "i2v.engines.animatediff.stock:StockEngine",
    "i2v.engines.wan.engine:WanEngine": "i2v.engines.wan.stock:StockEngine",
}

# Levels of 255 that frames may be apart. In float32 sums in another order make 1. In half precision steps
# amplify rounding: ours in two passes against ours in one, which differ by rounding alone, is the yardstick.
FLOAT32_APART = 1
ROUNDINGS_APART, LEAST_APART = 3.0, 1.0  # times the yardstick's mean difference, and at least so many levels


def check_stock(lab: Lab) -> Iterator[Row]:
    """diffusers' own pipeline and ours: seconds, memory, frames."""
    stock = STOCK.get(lab.spec.implementation)
    if stock is None:
        yield Row("stock", "stock", "skipped", Notice("bench.no_stock", {"title": lab.spec.title}).message)
        return
    generation, planned = _stock_clip(lab)
    if reason := no_room(planned):
        yield Row("stock", "ours", "skipped", reason)
        return
    trial = lab.trial(generation, planned)
    # as stock has it: the picture enters once, and its latents are drawn
    ours = replace(trial, spec=replace(lab.spec, facts=lab.spec.stock_facts))
    theirs = replace(trial, spec=replace(lab.spec, implementation=stock), is_ours=False)
    row = attempt("stock", "ours", lambda: _timed(lab, "ours", ours))
    yield row
    frames = _frames(trial) if row.status == "ok" else None
    row = _stock_row(lab, theirs, "stock", "none")
    if row.status == "skipped":
        yield row
        row = _stock_row(lab, theirs, "stock, offloaded", "model")
    yield row
    if row.status == "ok" and frames is not None:
        others = _frames(trial)
        yield attempt("stock", "frames", lambda: _apart(lab, ours, frames, others))


def _stock_row(lab: Lab, trial: Trial, name: str, offload: Offload) -> Row:
    """Run stock with the whole model on the device, or with `enable_model_cpu_offload`.

    Where that is out of memory the row is skipped: it is what stock does here, and no fault of ours.
    """
    plan = MemoryPlan(trial.plan.device, trial.plan.dtype, threads=trial.plan.threads, offload=offload)
    row = attempt("stock", name, lambda: _timed(lab, name, replace(trial, plan=plan)))
    ran_out = row.error is not None and row.error["kind"] == "OutOfMemoryError"
    return replace(row, status="skipped") if ran_out else row


def _stock_clip(lab: Lab) -> tuple[Generation, Planned]:
    """Return the standard clip, or the quick one where only that fits or little time is to be taken."""
    names: tuple[PresetName, ...] = ("quick",) if lab.is_quick else ("standard", "quick")
    for name in names:
        generation, planned = lab.preset(name, "exact")
        if planned.fits is not False:
            break
    if lab.is_quick:
        generation = replace(generation, num_inference_steps=QUICK_STEPS)
    return generation, planned


def _timed(lab: Lab, name: str, trial: Trial) -> Row:
    figures = lab.measure(time_clip, trial, name)
    return Row("stock", name, "ok", figures=of_clip(trial.generation, trial.plan, **figures))


def _frames(trial: Trial) -> Frames:
    frames: Frames = np.load(trial.scratch / "frames.npy")
    return frames


def _apart(lab: Lab, ours: Trial, frames: Frames, others: Frames) -> Row:
    """Hold our frames to stock's; in half precision, to what rounding alone makes of ours."""
    apart = compare_frames(frames, others)
    highest, mean = cast("int", apart["max_difference"]), cast("float", apart["mean_difference"])
    if ours.plan.dtype == "float32":
        expected: Figures = {"max_difference": FLOAT32_APART}
        agrees = highest <= FLOAT32_APART
    else:
        limit = LEAST_APART
        if ours.generation.guidance_scale > 1:
            other = replace(ours, plan=replace(ours.plan, cfg_passes=3 - ours.plan.cfg_passes))
            lab.measure(time_clip, other, "ours, rounded another way")
            rounding = compare_frames(frames, _frames(ours))
            apart["rounding_alone"] = rounding
            limit = max(limit, ROUNDINGS_APART * cast("float", rounding["mean_difference"]))
        expected = {"mean_difference": limit}
        agrees = mean <= limit
    figures = {**apart, "expected_at_most": expected}
    if agrees:
        return Row("stock", "frames", "ok", figures=figures)
    message = Notice("bench.frames_apart", {"highest": highest, "mean": round(mean, 2)}).message
    return Row("stock", "frames", "failed", message, figures=figures)


def work_of_stock(lab: Lab) -> float:
    generation, planned = _stock_clip(lab)
    clips = 3 if planned.plan.dtype != "float32" and generation.guidance_scale > 1 else 2
    return clips * lab.work(generation)
