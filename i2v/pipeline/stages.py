"""What the stages of a clip really took, booked as the engine's events go by: seconds, and bytes at the most.

Owns the comparison with the estimate. Of what happens between the events only looking at a step is booked:
the one who draws its preview waits for the device.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.results import StageUse
from i2v.core.stages import Stage
from i2v.engines.base import Conditioned, Decoded, Denoised, Event, Sounded, SteppedDown
from i2v.memory.model import memory_model
from i2v.memory.usage import PeakMeter

_STAGES: dict[type[Event], Stage] = {
    Conditioned: Stage.CONDITION,
    Denoised: Stage.DENOISE,
    Decoded: Stage.DECODE,
    Sounded: Stage.DECODE,
}


@dataclass
class Stopwatch:
    """Wall seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: Stage) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: Stage, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class BusyCpus:
    """How many CPUs this process keeps busy on average, from when this is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def average(self) -> float:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return round(cpu / wall, 3) if wall > 0 else 0.0


@dataclass(frozen=True)
class _Use:
    """Bytes that a stage took at the most, `None` where nothing can tell, and the plan it did so by."""

    at_most: int | None
    plan: MemoryPlan


class StageBooks:
    """The books of one clip; the seconds go to `watch`."""

    def __init__(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan, watch: Stopwatch) -> None:
        self._spec = spec
        self._generation = generation
        self._plan = plan
        self._watch = watch
        self._meter = PeakMeter(plan.device)
        self._uses: dict[Stage, _Use] = {}

    def follow(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on; a try that ran out of memory counts by its time alone."""
        while True:
            self._meter.read()  # forgets what was between
            start = time.perf_counter()
            event = next(events, None)
            if event is None:
                return
            if isinstance(event, SteppedDown):
                self._watch.add(event.stage, time.perf_counter() - start)
                self._plan = event.plan
            else:
                stage = _STAGES[type(event)]
                self._watch.add(stage, time.perf_counter() - start)
                self._note(stage, self._meter.read())
            if isinstance(event, Denoised):
                with self._watch.phase(Stage.DENOISE):
                    yield event
            else:
                yield event

    def _note(self, stage: Stage, used: int | None) -> None:
        use = self._uses.get(stage)
        if use is None or used is None or use.at_most is None or used > use.at_most:
            self._uses[stage] = _Use(used, self._plan)

    def to_list(self) -> list[StageUse]:
        """Return what each stage took, in their order."""
        return [
            StageUse(
                stage,
                round(self._watch.seconds[stage], 3),
                use.at_most,
                self._estimated(stage, use.plan),
            )
            for stage, use in self._uses.items()
        ]

    def _estimated(self, stage: Stage, plan: MemoryPlan) -> int | None:
        figures = memory_model(self._spec).estimate(self._spec, self._generation, plan)
        return None if figures is None else figures.metered(stage)
