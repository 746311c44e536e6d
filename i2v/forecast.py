"""How long jobs will take, by what finished ones took on this machine.

Knows generations and results as the store keeps them, not the store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from i2v.estimate import step_flops
from i2v.jobs import Job, JsonObject
from i2v.schema import Generation


@dataclass(frozen=True)
class _Run:
    """A finished job: `work` grows as denoising does, `volume` as all the rest does; seconds of both."""

    engine: str
    work: float
    volume: int
    denoise: float
    rest: float


class Forecast:
    """Tells seconds from the loaded engine to the finished video.

    Denoising is taken to grow with the operations it needs, the rest with frames and pixels. The nearest
    finished job of the same engine is what a job is compared with.
    """

    def __init__(self, runs: Iterable[tuple[JsonObject, JsonObject]]) -> None:
        """Take generation and result of finished jobs, the newest first (`JobStore.recent_runs`)."""
        self._runs = [run for then, result in runs if (run := _run_of(then, result)) is not None]

    def seconds(self, generation: Generation) -> float | None:
        """Return what `generation` should take, `None` where no run of its engine is known."""
        of_engine = [run for run in self._runs if run.engine == generation.engine]
        if not of_engine:
            return None
        work, volume = _work(generation), _volume(generation)
        nearest = min(of_engine, key=lambda run: abs(math.log(work / run.work)))
        return work / nearest.work * nearest.denoise + volume / nearest.volume * nearest.rest

    def starts(self, unfinished: Sequence[Job]) -> list[float | None]:
        """Return in how many seconds each job should start; `None`: it runs, or that is not known.

        unfinished: the running jobs, then all queued ones in their order.
        """
        found: list[float | None] = []
        before: float | None = 0.0
        for job in unfinished:
            found.append(None if job.queue_position is None else before)
            left = job.eta_seconds
            if left is None and before is not None:
                left = self.seconds(Generation(**job.generation))  # type: ignore[arg-type]  # ours
            before = None if before is None or left is None else before + left
        return found


def _run_of(then: JsonObject, result: JsonObject) -> _Run | None:
    spent = result.get("seconds")
    if not isinstance(spent, dict) or "denoise" not in spent:
        return None  # of an older version
    generation = Generation(**then)  # type: ignore[arg-type]  # ours, from the store
    rest = sum(seconds for phase, seconds in spent.items() if phase not in ("denoise", "load"))
    return _Run(generation.engine, _work(generation), _volume(generation), spent["denoise"], rest)


def _volume(generation: Generation) -> int:
    return generation.generated_width * generation.generated_height * generation.num_frames


def _work(generation: Generation) -> float:
    return step_flops(generation) * generation.num_inference_steps
