"""How long jobs will take, by what finished ones took on this machine.

Knows generations and results as the store keeps them, not the store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from i2v.core.results import Result
from i2v.core.schema import Generation
from i2v.jobs.model import Job
from i2v.media.upscale import guessed_seconds

_UPSCALE = "upscale"  # a phase
# Notices of memory that ran out in the middle of a phase, which was begun again.
_TRIED_IN_VAIN = ("ladder.condition", "ladder.denoise", "ladder.decode")


@dataclass(frozen=True)
class _Run:
    """A finished job: its denoising grows as `work` does, all its other phases as `volume`."""

    engine: str
    upscaler: str
    work: float
    volume: int
    seconds: dict[str, float]  # by phase


class Forecast:
    """Tells seconds from the loaded engine to the finished video.

    Denoising is taken to grow with the operations it needs, the rest with frames and pixels. The nearest
    finished job of the same engine is what a job is compared with; for enlarging its frames, the nearest one
    of the same upscaler.
    """

    def __init__(
        self, runs: Iterable[tuple[Generation, Result]], work: Callable[[Generation], float]
    ) -> None:
        """Take generation and result of finished jobs, the newest first (`JobStore.recent_runs`).

        work: tells what denoising a clip grows with, such as its floating-point operations.
        """
        self._work = work
        self._runs = [run for then, result in runs if (run := _run_of(then, result, work)) is not None]

    def seconds(self, generation: Generation) -> float | None:
        """Return what `generation` should take, `None` where no run of its engine is known."""
        phases = self.phases(generation)
        return None if phases is None else sum(phases.values())

    def phases(self, generation: Generation) -> dict[str, float] | None:
        """Return the seconds that each phase of `generation` should take, `None` as `seconds` does."""
        of_engine = [run for run in self._runs if run.engine == generation.engine]
        if not of_engine:
            return None
        work, volume = self._work(generation), _volume(generation)
        of_engine.sort(key=lambda run: abs(math.log(work / run.work)))
        nearest, *_ = of_engine
        grown = {phase: seconds * volume / nearest.volume for phase, seconds in nearest.seconds.items()}
        if "denoise" in grown:
            grown["denoise"] = nearest.seconds["denoise"] * work / nearest.work
        grown.pop(_UPSCALE, None)
        for run in of_engine:
            if run.upscaler == generation.upscaler and _UPSCALE in run.seconds:
                return grown | {_UPSCALE: run.seconds[_UPSCALE] * volume / run.volume}
        guess = guessed_seconds(generation)
        return grown | {_UPSCALE: guess} if guess else grown

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
                left = 0.0 if job.generation is None else self.seconds(job.generation)  # it fails at once
            before = None if before is None or left is None else before + left
        return found


def _run_of(generation: Generation, result: Result, work: Callable[[Generation], float]) -> _Run | None:
    if not {"decode", "denoise"} & result.seconds.keys():
        return None  # of an older version, or published by a later attempt
    if any(notice.code in _TRIED_IN_VAIN for notice in result.notices):
        return None  # some of its time went to tries that ran out of memory
    phases = {phase: seconds for phase, seconds in result.seconds.items() if phase != "load"}
    return _Run(generation.engine, generation.upscaler, work(generation), _volume(generation), phases)


def _volume(generation: Generation) -> int:
    return generation.generated_width * generation.generated_height * generation.num_frames
