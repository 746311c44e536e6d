"""What a check is: a generator of rows that asks the `Lab` for measurements and judges the figures.

How figures come about is `trials`' business; which checks there are, and their order, is `run`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from i2v.bench.apart import MeasureFailed, failure_of
from i2v.bench.report import Figures, Row
from i2v.bench.trials import OnProgress, Trial
from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import PresetName, Speed
from i2v.memory.plan import Planned

QUICK_STEPS = 4  # of a preset that is not run to its end

Measure = Callable[[Trial, OnProgress], Figures]


class Lab(Protocol):
    """What a check works with."""

    spec: EngineSpec
    is_quick: bool

    def measure(self, measure: Measure, trial: Trial, name: str) -> Figures:
        """Run `measure` apart; raises `MeasureFailed`."""
        ...

    def trial(self, generation: Generation, planned: Planned) -> Trial: ...

    def preset(self, name: PresetName, speed: Speed) -> tuple[Generation, Planned]: ...

    def small_clip(self) -> tuple[Generation, Planned]:
        """Return a clip of few steps for the checks that compare no time."""
        ...

    def large_clip(self) -> tuple[Generation, Planned]:
        """Return a clip that takes much memory for few steps, and has ways to take less."""
        ...

    def guessed_seconds(self, planned: Planned) -> float | None: ...

    def work(self, generation: Generation) -> float:
        """Return what denoising the clip with all its steps grows with."""
        ...


@dataclass(frozen=True)
class Check:
    """`work`: about how many operations it takes, for the time left."""

    name: str
    run: Callable[[Lab], Iterator[Row]]
    work: Callable[[Lab], float]


def attempt(check: str, name: str, make: Callable[[], Row]) -> Row:
    """Return the row that `make` makes, or else the row of its failure: the other checks go on."""
    start = time.monotonic()
    try:
        return replace(make(), seconds=round(time.monotonic() - start, 2))
    except MeasureFailed as error:
        failure = error.failure
    except Exception as error:
        failure = failure_of(error)
    message = failure.message if failure.code else f"{failure.kind}: {failure.message}"
    detail: dict[str, object] = {"kind": failure.kind, "code": failure.code, "where": list(failure.where)}
    return Row(check, name, "failed", message, round(time.monotonic() - start, 2), error=detail)


def no_room(planned: Planned) -> str | None:
    """Return why a clip is not tried, by the estimate; `None` where it is."""
    if planned.fits is not False:
        return None
    return " ".join(notice.message for notice in planned.notices)


def of_clip(generation: Generation, plan: MemoryPlan, **more: object) -> Figures:
    """Return what a row says of its clip, and `more`."""
    return {
        "width": generation.generated_width,
        "height": generation.generated_height,
        "num_frames": generation.num_frames,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "speed": generation.speed,
        "dtype": plan.dtype,
        "plan": vars(plan),
        **more,
    }
