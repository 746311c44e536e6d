"""How long jobs will take, by what finished ones took on this machine.

Knows generations and results as the store keeps them, not the store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.jobs.model import Job
from i2v.media import interpolation, upscale

NEAREST = 9  # jobs that one is compared with
FEW = 3  # with fewer, nobody knows how far they spread
_UNKNOWN_SPREAD = 1.5  # times more or less, then
_REACH = math.log(1.5)  # runs of so much more or less work are as good as the nearest one
_LAST = 3  # runs that tell how busy the machine is with other things
# Notices of memory that ran out in the middle of a phase, which was begun again.
_TRIED_IN_VAIN = ("ladder.condition", "ladder.denoise", "ladder.decode")
_RESUMED = ("story.resumed", "denoise.resumed")  # notices that an earlier attempt has made some of it


@dataclass(frozen=True)
class _Run:
    """A finished job: its denoising grows as `work` does, all its other phases as `volume`.

    But for those of `extra`, which depend on their method: what each grows with, by phase and method.
    """

    engine: str
    extra: dict[tuple[str, str], float]
    work: float
    volume: int
    seconds: dict[str, float]  # by phase
    busy_cpus: float | None


@dataclass(frozen=True)
class Expected:
    """Seconds that a job should take, and between which most jobs like it did."""

    seconds: float
    low: float
    high: float


class Forecast:
    """Tells seconds from the loaded engine to the finished video.

    Denoising is taken to grow with the operations it needs, the rest with frames and pixels. A job is
    compared with the nearest finished ones of the same engine, phase by phase: their median, so that one that
    ran beside something else does not count. On a CPU a run beside others keeps fewer CPUs busy for longer,
    so each run is taken as if it had had as many of them as the last ones. For enlarging its frames, and for
    frames in between, those of the same method.
    """

    def __init__(
        self, runs: Iterable[tuple[Generation, Result]], work: Callable[[Generation], float]
    ) -> None:
        """Take generation and result of finished jobs, the newest first (`JobStore.recent_runs`).

        work: tells what denoising a clip grows with, such as its floating-point operations.
        """

        def of_all(generation: Generation) -> float:
            return work(generation) * len(generation.segments)

        self._work = of_all
        self._runs = [run for then, result in runs if (run := _run_of(then, result, self._work)) is not None]

    def seconds(self, generation: Generation) -> float | None:
        """Return what `generation` should take, `None` where no run of its engine is known."""
        expected = self.expected(generation)
        return None if expected is None else expected.seconds

    def expected(self, generation: Generation) -> Expected | None:
        """Return that with its spread: of the middle half of the runs, wider while there are few."""
        phases = self.phases(generation)
        if phases is None:
            return None
        seconds = sum(phases.values())
        if generation.is_enhanced:
            return Expected(seconds, seconds / _UNKNOWN_SPREAD, seconds * _UNKNOWN_SPREAD)
        extra = sum(phases.get(name, 0.0) for name in _EXTRA)
        totals = sorted(sum(run.values()) + extra for run in self._scaled(generation))
        if len(totals) < FEW:
            return Expected(seconds, seconds / _UNKNOWN_SPREAD, seconds * _UNKNOWN_SPREAD)
        quarter = len(totals) // 4
        return Expected(seconds, min(seconds, totals[quarter]), max(seconds, totals[-1 - quarter]))

    def phases(self, generation: Generation) -> dict[str, float] | None:
        """Return the seconds that each phase of `generation` should take, `None` as `seconds` does."""
        if generation.is_enhanced:  # no engine is at work
            return self._extra_phases(generation)
        scaled = self._scaled(generation)
        if not scaled:
            return None
        names = dict.fromkeys(name for run in scaled for name in run)
        phases = {name: median(run[name] for run in scaled if name in run) for name in names}
        return phases | self._extra_phases(generation)

    def _extra_phases(self, generation: Generation) -> dict[str, float]:
        """Return the seconds of what is done to frames that are there, guessed where no job has done it."""
        phases = {}
        for (name, method), amount in _extra(generation).items():
            taken = [
                run.seconds[name] * amount / run.extra[name, method]
                for run in self._by_nearness(generation)
                if (name, method) in run.extra and name in run.seconds
            ]
            phases[name] = median(taken[:NEAREST]) if taken else _EXTRA[name](generation)
        return phases

    def _nearest(self, generation: Generation) -> list[_Run]:
        """Return the runs to compare with: none that is much further off than the nearest one."""
        runs = self._by_nearness(generation)[:NEAREST]
        return [run for run in runs if self._distance(run, generation) <= self._reach(runs[0], generation)]

    def _reach(self, nearest: _Run, generation: Generation) -> float:
        return self._distance(nearest, generation) + _REACH

    def _by_nearness(self, generation: Generation) -> list[_Run]:
        """Return the runs of the engine; of those as near as each other, the newest first."""
        of_engine = [run for run in self._runs if run.engine == generation.engine]
        return sorted(of_engine, key=lambda run: self._distance(run, generation))

    def _distance(self, run: _Run, generation: Generation) -> float:
        return abs(math.log(self._work(generation) / run.work))

    def _scaled(self, generation: Generation) -> list[dict[str, float]]:
        """Return what each phase of the runs to compare with would have taken for `generation` now."""
        nearest = self._nearest(generation)
        last = [run.busy_cpus for run in self._runs if run.engine == generation.engine and run.busy_cpus]
        now = median(last[:_LAST]) if last else None
        return [self._grown(run, generation, now) for run in nearest]

    def _grown(self, run: _Run, generation: Generation, now: float | None) -> dict[str, float]:
        """Return that for one run. `now`: the CPUs that it would keep busy, where that is known."""
        slower = run.busy_cpus / now if run.busy_cpus and now else 1.0
        by_volume = slower * _volume(generation) / run.volume
        grown = {phase: spent * by_volume for phase, spent in run.seconds.items() if phase not in _EXTRA}
        if "denoise" in grown:
            grown["denoise"] = run.seconds["denoise"] * slower * self._work(generation) / run.work
        return grown

    def starts(self, unfinished: Sequence[Job], lanes: Sequence[str] = ("",)) -> list[float | None]:
        """Return in how many seconds each job should start; `None`: it runs, or that is not known.

        Args:
            unfinished: the running jobs, then all queued ones in their order.
            lanes: the device of each worker, by its id.
        """
        schedule = self._schedule(unfinished, lanes)
        return [
            None if job.queue_position is None else _known(start)
            for job, (start, _) in zip(unfinished, schedule, strict=True)
        ]

    def ends(self, unfinished: Sequence[Job], lanes: Sequence[str] = ("",)) -> list[float | None]:
        """Return in how many seconds each of the same jobs should be finished; `None`: that is not known."""
        return [_known(end) for _, end in self._schedule(unfinished, lanes)]

    def _schedule(self, unfinished: Sequence[Job], lanes: Sequence[str]) -> list[tuple[float, float]]:
        """Return start and end of each job, infinite where not known: each takes the lane that is free first.

        Devices are taken to be as fast as each other, and to have room for every job that asks for none.
        """
        free = [0.0] * len(lanes)
        found = []
        for job in unfinished:
            device = job.wanted_device if job.device is None or job.status == "queued" else job.device
            own = [number for number, lane in enumerate(lanes) if lane == device]
            lane = min(own or range(len(lanes)), key=lambda number: free[number])
            left = job.eta_seconds
            if left is None:
                left = 0.0 if job.generation is None else self.seconds(job.generation)  # it fails at once
            start = free[lane]
            free[lane] = math.inf if left is None else start + left
            found.append((start, free[lane]))
        return found


def _known(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _run_of(generation: Generation, result: Result, work: Callable[[Generation], float]) -> _Run | None:
    if not {"decode", "denoise"} & result.seconds.keys():
        return None  # of an older version, or published by a later attempt
    if any(notice.code in _TRIED_IN_VAIN for notice in result.notices):
        return None  # some of its time went to tries that ran out of memory
    phases = {phase: seconds for phase, seconds in result.seconds.items() if phase != "load"}
    if any(notice.code in _RESUMED for notice in result.notices):
        return None
    busy = None if result.made_with is None else result.made_with.busy_cpus
    return _Run(generation.engine, _extra(generation), work(generation), _volume(generation), phases, busy)


# What is done to frames that are decoded, by its phase: what it should take where no job has done it yet.
_EXTRA: dict[str, Callable[[Generation], float]] = {
    "upscale": upscale.guessed_seconds,
    "interpolate": interpolation.guessed_seconds,
}


def _extra(generation: Generation) -> dict[tuple[str, str], float]:
    """Return what each of them grows with, of those that are done to this clip."""
    found: dict[tuple[str, str], float] = {}
    if generation.upscaler != "lanczos":
        found["upscale", generation.upscaler] = _volume(generation)
    if generation.interpolation is not None:
        found["interpolate", generation.interpolation] = interpolation.guessed_seconds(generation)
    return found


def _volume(generation: Generation) -> int:
    frames = len(generation.segments) * generation.num_frames  # that are made; neighbours have some in common
    return generation.generated_width * generation.generated_height * frames
