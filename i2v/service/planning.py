"""What a request would be and take on this machine, and when queued jobs start; nothing is accepted here.

Owns the way from a request to settled numbers, by the device that the executor found. Deliberately does not
know files: of a picture, it is given the size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from i2v.core.engine_spec import EngineSpec, Preset
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.extension import ExtendRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.jobs.batches import Batch
from i2v.jobs.forecast import Expected, Forecast
from i2v.jobs.model import Job, JsonObject
from i2v.jobs.store import JobStore
from i2v.media import interpolation, upscale
from i2v.memory.model import denoising_work
from i2v.memory.plan import least_bytes
from i2v.pipeline.added import with_presets_there
from i2v.pipeline.choice import choose_engine, explain_choice
from i2v.pipeline.enhance import Source
from i2v.pipeline.plan import ClipPlan, ClipPlanner
from i2v.service.executor import Executor

# Of the time that is expected: jobs that differ by more are told as a range.
MAX_SPREAD = 0.4
# Which notices are shown before a clip is made, beside what it takes.
SAID_BEFORE = (
    "speed.",
    "request.size_",
    "request.untrained_",
    "camera.",
    "story.",
    "loop.",
    "request.last_image_",
)


@dataclass(frozen=True)
class PlanSummary:
    """What a request would take here. `None`: not known yet.

    Attributes:
        fits: whether it fits what was free of the device and of CPU memory when the worker started.
        bytes: of the device, at the most.
        seconds: from the loaded engine to the finished video, by this machine's finished jobs, or guessed.
        options: what would be run (`Generation`).
        notice: the seconds for a person.
        memory: the rest of it for a person: whether it fits, and what would; why it is not run fast, or not
            at the size that was asked for.
    """

    fits: bool | None
    bytes: int | None
    seconds: float | None
    options: JsonObject
    notice: Notice
    memory: tuple[Notice, ...] = ()

    @property
    def message(self) -> str:
        """What the notices say, in one line."""
        return " ".join(notice.message for notice in (*self.memory, self.notice))


@dataclass(frozen=True)
class Unfinished:
    """A job that runs, or waits to `starts_in` so many seconds; `None`: it runs, or that is not known."""

    job: Job
    starts_in: float | None


class Planner:
    """Plans for one service; threads share it."""

    def __init__(
        self, settings: Settings, store: JobStore, executor: Executor, engines: Mapping[str, EngineSpec]
    ) -> None:
        self._settings = settings
        self._store = store
        self._executor = executor
        self._engines = engines
        self._clips = ClipPlanner(settings, engines)

    def engine(self, name: str = "auto") -> EngineSpec:
        """Return the engine called `name`; "auto" is that of the settings, and then what runs here.

        Raises as `choose_engine` and `Executor.device` do.
        """
        asked = self._settings.engine.name if name == "auto" else name
        models = self._settings.models
        return with_presets_there(
            choose_engine(asked, self._executor.device(), models, self._engines), models
        )

    def presets(self, spec: EngineSpec) -> dict[str, Preset]:
        """Return the presets as `spec` has them."""
        return self._clips.presets(spec)

    def plan(self, fields: JsonObject, picture_size: tuple[int, int] = (512, 512)) -> PlanSummary:
        """Return what a request would take on this machine; raises `InvalidRequest` as `submit` does."""
        clip = self.plan_clip(self._clips.parse(fields), picture_size)
        memory, generation = clip.memory, clip.generation
        needed = None if memory.estimate is None else memory.estimate.device_bytes
        expected = self._forecast().expected(generation)
        seconds = _guessed(clip) if expected is None else expected.seconds
        notice = Notice("plan.unknown", {})
        if expected is not None:
            notice = _as_notice(expected)
        elif seconds is not None:
            notice = Notice("plan.seconds_guess", {"seconds": max(1, round(seconds))})
        said = tuple(each for each in clip.notices if each.code.startswith(SAID_BEFORE))
        return PlanSummary(memory.fits, needed, seconds, asdict(generation), notice, (*memory.notices, *said))

    def check(self, fields: JsonObject) -> GenerationRequest:
        """Return the request, if its engine can do it; raises as `plan_clip` does, without a picture."""
        request = self._clips.parse(fields)
        self._clips.spec_for(request, self._devices(request.device)[0])
        return request

    def plan_clip(self, request: GenerationRequest, picture_size: tuple[int, int]) -> ClipPlan:
        """See `ClipPlanner.plan_clip`; for the first device on which it fits, or else the largest.

        Raises as `Executor.device` does, too, and `InvalidRequest` where there is no such device.
        """
        devices = self._devices(request.device)
        return _fitting(self._clips.plan_clip(request, picture_size, device) for device in devices)

    def plan_extension(self, request: ExtendRequest, source: Source, ran: Generation) -> ClipPlan:
        """See `ClipPlanner.plan_extension`; the device is chosen as for any clip."""
        devices = self._devices(request.device)
        return _fitting(self._clips.plan_extension(request, source, ran, device) for device in devices)

    def needed_bytes(self, plan: ClipPlan) -> int | None:
        """Return what a GPU has to have free for the clip, in bytes; `None` on the CPU, or if not known."""
        if plan.device.type == "cpu":
            return None
        return least_bytes(plan.spec, plan.generation, plan.device, self._settings.engine)

    def _devices(self, wanted: str | None) -> list[DeviceInfo]:
        """Return where it may be run, the `wanted` one if any; of like devices, that with the most free."""
        first, states = self._executor.device(), self._executor.devices()
        if wanted is not None and wanted not in [state.id for state in states]:
            allowed = f"auto or one of {', '.join(dict.fromkeys(state.id for state in states))}"
            raise InvalidRequest("request.invalid", field="device", value=wanted, allowed=allowed)
        found: dict[tuple[str, str, int], DeviceInfo] = {}
        for state in states:
            device = state.info
            if device is not None and wanted in (None, state.id):
                kind = (device.type, device.name, device.total_memory)
                found[kind] = max(found.get(kind, device), device, key=_room)
        return list(found.values()) or [first]

    def explain_choice(self) -> Notice | None:
        """Return which engine jobs that name none are run by, and why; `None` where the settings name it."""
        if self._settings.engine.name != "auto":
            return None
        return explain_choice(self._executor.device(), self._settings.models, self._engines)

    def expected_start(self, job: Job) -> float | None:
        """Return in how many seconds a queued job should start; `None` if it is not queued or not known."""
        return next((each.starts_in for each in self.unfinished() if each.job.id == job.id), None)

    def unfinished(self) -> list[Unfinished]:
        """Return the running jobs, then all queued ones in their order."""
        jobs = self._store.unfinished()
        if self._store.queue.is_paused():  # nobody knows until when
            return [Unfinished(job, None) for job in jobs]
        starts = self._forecast().starts(jobs, self._lanes())
        return [Unfinished(job, seconds) for job, seconds in zip(jobs, starts, strict=True)]

    def seconds_left(self, batch: Batch) -> float | None:
        """Return in how many seconds the last clip of the batch should be there; `None`: that is not known.

        Counts what is in the queue before it. Rows that are no jobs yet are taken to last as long as the
        batch's jobs in the queue.
        """
        jobs, forecast, lanes = self._store.unfinished(), self._forecast(), self._lanes()
        ends = forecast.ends(jobs, lanes)
        own = [(job, end) for job, end in zip(jobs, ends, strict=True) if job.batch == batch.id]
        waiting = batch.counts["waiting"]
        if (own or waiting) and self._store.queue.is_paused():
            return None
        if not own:
            return None if waiting else 0.0
        last = [end for _, end in own if end is not None]
        if len(last) < len(own) or not waiting:
            return max(last) if len(last) == len(own) else None
        each = [forecast.seconds(job.generation) for job, _ in own if job.generation is not None]
        known = [seconds for seconds in each if seconds is not None]
        return max(last) + waiting * sum(known) / len(known) / len(lanes) if known else None

    def _lanes(self) -> list[str]:
        """Return the device of each worker that takes jobs, or of all where none does."""
        states = self._executor.devices()
        working = [state.id for state in states if state.activity not in ("set_aside", "leaving")]
        return working or [state.id for state in states]

    def _forecast(self) -> Forecast:
        return Forecast(self._store.recent_runs(), denoising_work(self._engines))


def _fitting(plans: Iterable[ClipPlan]) -> ClipPlan:
    """Return the first plan that fits its device, or else that of the largest one."""
    tried = []
    for plan in plans:
        if plan.memory.fits is not False:
            return plan
        tried.append(plan)
    return max(tried, key=lambda plan: _room(plan.device))


def _room(device: DeviceInfo) -> int:
    return device.total_memory if device.free_memory is None else device.free_memory


def _guessed(clip: ClipPlan) -> float | None:
    """Return how long the clip should take on a card that nothing was made on."""
    seconds, made = clip.memory.guessed_seconds(clip.device), clip.generation
    if seconds is None:
        return None
    later = upscale.guessed_seconds(made) + interpolation.guessed_seconds(made)
    return seconds * len(made.segments) + later


def _as_notice(expected: Expected) -> Notice:
    """Return the time for a person: a range as long as jobs took very different times."""
    low, seconds, high = (max(1, round(value)) for value in (expected.low, expected.seconds, expected.high))
    if high - low <= max(1, MAX_SPREAD * seconds):
        return Notice("plan.seconds", {"seconds": seconds})
    return Notice("plan.range", {"low": low, "high": high})
