"""Who makes the clips of a worker's jobs: this process, on its own device, or another machine.

Owns what a maker is asked, and `LocalMaker`, which keeps the loaded engine from job to job. What a job is and
what becomes of it is `attempt`'s and `worker`'s business; the maker on another machine is in `cluster`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, PlannedMemory
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.core.stages import Stage
from i2v.engines.base import SteppedDown
from i2v.engines.registry import find_spec
from i2v.jobs.model import JsonObject, Progress, is_sound
from i2v.media.checkpoints import Checkpoints
from i2v.media.decoder import read_picture
from i2v.media.image import Picture
from i2v.media.latents import KeptLatents
from i2v.media.outputs import OutputFile
from i2v.media.unpublished import FrameRecorder
from i2v.memory import allocator
from i2v.memory.plan import measure_free, measure_held
from i2v.pipeline.choice import as_stored
from i2v.pipeline.clip import ClipEvent, Output
from i2v.pipeline.engines import EngineCache
from i2v.pipeline.enhance import delivered, enhance_clip, source_of
from i2v.pipeline.make import check_output, make_clip
from i2v.pipeline.plan import ClipPlan, plan_again
from i2v.pipeline.stages import Stopwatch
from i2v.workers.cleanup import JOB_TAG
from i2v.workers.leaks import LeakDetector
from i2v.workers.progress import Meter

log = logging.getLogger(__name__)


class WorkerLost(Exception):
    """Who made the clip has died, hangs or cannot be reached: the job goes to another one."""


class GivenBack(Exception):
    """Who made the clip has stopped in order: the job goes back to the queue."""


@dataclass(frozen=True)
class Order:
    """A job as its maker knows it: nothing of the queue, nor of who asks for it.

    Attributes:
        job_id: of the job.
        tag: what the video says of its job.
        request, generation, plan, deaths, wanted_device: see `jobs.model.Job`.
        inputs: the files of the job, by the names that they have in the job's store: its pictures, the image
            first, its sound, and the clip that it makes something of.
        output: where the video goes.
    """

    job_id: str
    tag: str
    request: JsonObject
    generation: Generation
    plan: PlannedMemory | None
    deaths: int
    wanted_device: str | None
    inputs: tuple[Path, ...]
    output: Path


@dataclass(frozen=True)
class Reports:
    """What a maker tells while it works.

    Attributes:
        note: notices that stand in the job from what is said next.
        say: how far it is, or that it lives; raises `Cancelled` or `JobLost` where it is to stop.
    """

    note: Callable[[tuple[Notice, ...]], None]
    say: Callable[[Progress | None], None]


class Maker(Protocol):
    """One clip after another, on one device."""

    def make(self, order: Order, recorder: FrameRecorder, reports: Reports) -> Result:
        """Make the clip and publish it as `order.output`.

        The frames are in the recorder's place where only the end failed, or its notice says why they are not.

        Raises what stops it: `WorkerLost` and `GivenBack` too, where it is not this process.
        """
        ...

    def drop(self) -> None:
        """Let go of the engine: nothing that it has on the device can be trusted."""
        ...

    def rest(self) -> bool:
        """Give back what a job has left; tell whether it should go on after it."""
        ...


class LocalMaker:
    """Makes clips in this process."""

    def __init__(self, settings: Settings, engines: Mapping[str, EngineSpec], device: DeviceInfo) -> None:
        self._settings = settings
        self._engines = engines
        self._device = device
        self._cache = EngineCache(settings.models)
        self._leaks = LeakDetector(round(settings.worker.creep_megabytes * 1e6))

    def make(self, order: Order, recorder: FrameRecorder, reports: Reports) -> Result:
        if order.generation.is_enhanced:
            return _enhance(order, reports)
        meter, watch = Meter(order.generation), Stopwatch()
        checkpoints = Checkpoints(recorder.path.parent, recorder.path.stem)
        track = next((path for path in order.inputs if is_sound(path.name)), None)
        seconds = self._settings.worker.keep_latents_seconds
        latents = KeptLatents(recorder.path.parent, recorder.path.stem, seconds)
        target, tags = OutputFile(order.output), {JOB_TAG: order.tag}
        output = Output(target, recorder, checkpoints, latents, tags, track)
        with watch.phase(Stage.PICTURE):
            source = source_of(order.inputs[-1]) if order.generation.extends else None
            files = [] if source else [path for path in order.inputs if path != track]
            pictures = [_read_picture(path) for path in files]
        plan = self._plan(order)
        reports.note(plan.notices)

        def show(event: ClipEvent) -> None:
            reports.note(_said_at_once(event))
            reports.say(meter.read(event))

        with recorder, checkpoints:
            return make_clip(plan, pictures, output, self._cache, self._settings, show, watch, source)

    def drop(self) -> None:
        self._cache.drop()

    def rest(self) -> bool:
        allocator.release()
        setup = self._cache.setup
        if setup is None or not self._leaks.creeps(setup, measure_held(self._device)):
            return True
        log.warning(
            "the worker holds %.0f MB more than after its first job: it ends", self._leaks.risen / 1e6
        )
        return False

    def _plan(self, order: Order) -> ClipPlan:
        """Return the plan that was made at submission, or another one where that does not hold any more."""
        spec = as_stored(find_spec(order.generation.engine, self._engines), self._settings.models)
        free, options = measure_free(self._device), self._settings.engine
        plan = plan_again(order.request, spec, order.generation, order.plan, free, options, order.deaths)
        if order.wanted_device in (None, self._device.id):
            return plan
        gone = Notice("plan.device_gone", {"wanted": order.wanted_device, "device": self._device.id})
        return replace(plan, notices=(gone, *plan.notices))


def _said_at_once(event: ClipEvent) -> tuple[Notice, ...]:
    """Return what a job is to say while its clip is being made; the rest it says of the finished one."""
    if isinstance(event, SteppedDown):
        return event.notices
    return tuple(notice for notice in event.notices if notice.code == "denoise.resumed")


def _enhance(order: Order, reports: Reports) -> Result:
    """Make the video of the clip that was kept for the job; no engine is needed."""
    source = source_of(order.inputs[-1])
    target = OutputFile(order.output)
    check_output(target, with_sound=source.video.sound is not None)
    meter = Meter(delivered(order.generation, source.video))
    tags = {JOB_TAG: order.tag}
    return enhance_clip(source, order.generation, target, tags, lambda event: reports.say(meter.read(event)))


def _read_picture(path: Path) -> Picture:
    """Return the picture that the service has kept, decoded as it was at submission."""
    try:
        return read_picture(path)
    except OSError as error:
        raise InvalidRequest(
            "job.picture_lost", path=str(path), reason=error.strerror or str(error)
        ) from error
    except InvalidRequest as error:  # it was right when it was kept
        raise InvalidRequest("job.picture_lost", path=str(path), reason=error.message) from error
