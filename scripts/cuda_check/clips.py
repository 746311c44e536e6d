"""Whole clips, ours and stock's, each in a process of its own: seconds by phase, memory beside the estimate.

Larger ones are run for a few steps; `seconds_whole` is what all steps would take by those.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import cast

from i2v.bench.apart import run_apart
from i2v.bench.trials import Trial, time_clip
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.estimates import CONTEXT_BYTES
from i2v.memory.model import Estimate
from scripts.cuda_check.rows import Figures, Task
from scripts.cuda_check.subjects import Size, clip_of, settings_of, sizes, spec_of

STOCK = "i2v.engines.i2vgen_xl.stock:StockEngine"

# Settings of ours, `None` for stock.
WAYS: dict[str, dict[str, object] | None] = {"ours": {}, "stock": None}
# The first clip again, last: the time may be up by then.
WITHOUT: dict[str, dict[str, object]] = {
    "ours, without graph": {"engine.cuda_graph": "off"},
    "ours, plain": {"engine.kernels": "off", "engine.cuda_graph": "off"},
}


def measure(task: Task, size: Size, options: Mapping[str, object] | None) -> Figures:
    """Measure ours under these settings, or stock."""
    is_ours = options is not None
    settings, spec = settings_of(task, options or {}), spec_of(task)
    generation, planned, device = clip_of(task, size, settings)
    spec = replace(spec, facts=spec.stock_facts)  # as stock has it: both sides do the same
    trial = Trial(
        spec, task.folder, generation, planned.plan, device, settings, task.scratch, is_ours=is_ours
    )
    if not is_ours:
        plan = MemoryPlan(planned.plan.device, planned.plan.dtype, threads=planned.plan.threads)
        trial = replace(trial, spec=replace(spec, implementation=STOCK), plan=plan)
    figures = run_apart(time_clip, trial, task.scratch, lambda share: None, task.seconds)
    seconds = cast("dict[str, float]", figures["seconds"])
    seconds = {name: round(spent, 3) for name, spent in seconds.items()}
    found: Figures = {"steps": size.steps, "seconds": seconds, "bytes": figures["bytes"]}
    found["plan"] = {
        name: getattr(trial.plan, name) for name in ("dtype", "offload", "kernels", "cuda_graph")
    }
    found["kernels"] = figures["kernels"]
    if size.steps < size.all_steps and "denoise" in seconds:
        more = (size.all_steps / size.steps - 1) * seconds["denoise"]
        found["seconds_whole"] = round(seconds["clip"] + more, 2)
    if is_ours:
        found["stepped_down"] = figures["stepped_down"]
        held = cast("dict[str, int | None]", figures["bytes"])
        found |= _beside_estimate(held["peak"], planned.estimate, task.device)
    return found


def _beside_estimate(peak: int | None, estimate: Estimate | None, device: str) -> Figures:
    """Return what torch should have allocated at the most, and the measured peak over it.

    On CUDA without the context, which torch does not count.
    """
    if estimate is None or peak is None:
        return {}
    expected = estimate.device_bytes - (CONTEXT_BYTES if device == "cuda" else 0)
    return {"estimated_bytes": expected, "measured_over_estimate": round(peak / expected, 3)}


def main() -> None:
    task = Task.from_json(sys.argv[1])
    asked = [(size, name, options) for size in sizes(task) for name, options in WAYS.items()]
    asked += [(sizes(task)[0], name, options) for name, options in WITHOUT.items()]
    for size, name, options in asked:
        task.attempt(f"{size.name}, {name}", partial(measure, task, size, options))


if __name__ == "__main__":
    main()
