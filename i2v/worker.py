"""The worker: one device, one loaded engine, one job after another from the store.

Owns what a job goes through between claim and result. It runs in a process of its own (`executors.process`)
or in the caller's (`executors.inline`); who ends it in the middle of a job sees to that job, by the store and
`clean_up`. It knows neither pages nor people.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from i2v.engines.base import Event
from i2v.engines.specs import find_spec
from i2v.errors import Cancelled, EncodeError, I2VError, InsufficientMemory, InvalidRequest
from i2v.image import Picture
from i2v.job_store import JobStore
from i2v.jobs import Claim, Job, JobLost, JsonObject, Progress
from i2v.loading import LoadedEngine, adopt_plan, load_engine, weights_state
from i2v.memory import measure_free, plan_memory
from i2v.outputs import OutputFile, prepare_output, sweep_parts
from i2v.pipeline import Marks, Result, Stopwatch, describe, generate_video, mark
from i2v.progress import Meter, Narrator, at_start
from i2v.schema import DeviceInfo, EngineSpec, Generation, GenerationRequest
from i2v.settings import Settings
from i2v.video import check_ffmpeg, read_tags

JOB_TAG = "i2v-job"  # metadata key: a file that carries the job's tag is the job's, already published
POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0  # between two requests to a database that cannot be used
MAX_RETRIES = 60

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beat:
    """Said often, so that a hang is noticed; `job_id` is `None` between jobs."""

    job_id: str | None


class Worker:
    """Takes jobs as `owner`, and says by `tell` that it is alive."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        engines: Mapping[str, EngineSpec],
        device: DeviceInfo,
        owner: str,
        tell: Callable[[Beat], None] = lambda beat: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._engines = engines
        self._device = device
        self._owner = owner
        self._tell = tell
        self._loaded: LoadedEngine | None = None
        self._weights: tuple[object, ...] = ()  # that it was loaded from
        self._narrator = Narrator()
        self._is_sound = True

    def run(self) -> None:
        """Work until there was nothing to do for the settings' time, or a failure was not understood.

        After such a failure nothing that is loaded can be trusted: a device's error may fail all later work.
        """
        idle_since = time.monotonic()
        while self._is_sound:
            if self.run_next():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > self._settings.worker.idle_seconds:
                return
            else:
                self._tell(Beat(None))
                time.sleep(POLL_SECONDS)

    def run_next(self) -> bool:
        """Run the first job of the queue, if there is one, to whatever end."""
        claim = _insist(lambda: self._store.claim(self._owner))
        if claim is None:
            return False
        log.info("job %s: attempt %s", claim.job.id, claim.job.attempt)
        self._tell(Beat(claim.job.id))
        self._narrator = Narrator()
        try:
            with self._lease(claim):
                ended = self._run(claim)
            log.info("job %s: %s", claim.job.id, _ending(ended))
        except JobLost:
            log.warning("job %s was given to somebody else; its work is dropped", claim.job.id)
        self._tell(Beat(None))
        return True

    def _run(self, claim: Claim) -> Job:
        store = self._store
        try:
            result = self._result(claim)
        except JobLost:
            raise
        except Cancelled:
            return _insist(lambda: store.confirm_cancel(claim))
        except I2VError as error:
            failure = error
        except MemoryError as error:
            failure = InsufficientMemory("engine.out_of_memory", reason=str(error) or "MemoryError")
        except Exception as error:
            log.exception("job %s", claim.job.id)
            failure = I2VError("job.internal", kind=type(error).__name__)
            self._loaded, self._is_sound = None, False
        else:
            return _insist(lambda: store.finish(claim, result))
        return _insist(lambda: store.fail(claim, failure.to_dict()))

    def _result(self, claim: Claim) -> JsonObject:
        """Return the job's result: the video is published under the job's name when this returns.

        Where an earlier attempt died between the rename and its commit, it is there already.
        """
        job = claim.job
        sweep_parts(Path(job.output))
        try:
            return self._make(claim)
        except InvalidRequest as error:
            if error.code != "output.exists":
                raise
        if not is_published(job):
            raise EncodeError("job.output_taken", path=job.output)
        told = Result(Path(job.output), _generation(job), (), {}).to_dict()
        return {**told, "notices": list(job.notices)}

    def _make(self, claim: Claim) -> JsonObject:
        job, generation = claim.job, _generation(claim.job)
        self._say(claim, at_start("loading"))
        meter, watch = Meter(generation), Stopwatch()
        target = OutputFile(Path(job.output))
        check_ffmpeg()
        prepare_output(target)
        with watch.phase("picture"):
            picture = _read_picture(self._settings.inputs / job.input)
        with watch.phase("load"):
            loaded = self._engine(find_spec(generation.engine, self._engines), generation)
        self._say(claim, at_start("conditioning"))
        provenance = describe(
            GenerationRequest.parse(job.request), generation, picture, loaded, self._settings.output
        )
        marks = mark(provenance, self._settings.output)
        marks = Marks({**marks.tags, JOB_TAG: _tag(job)}, marks.visible)

        def show(event: Event) -> None:
            self._say(claim, meter.read(event))

        result = generate_video(loaded.engine, generation, picture, target, marks, show, watch)
        notices = [*job.notices, *(notice.to_dict() for notice in result.notices)]
        return {**result.to_dict(), "notices": notices}

    def _engine(self, spec: EngineSpec, generation: Generation) -> LoadedEngine:
        weights = weights_state(spec, self._settings.models)
        if self._loaded is not None and (self._loaded.engine.spec != spec or self._weights != weights):
            self._loaded = None
        offload = None if self._loaded is None else self._loaded.engine.plan.offload
        free, options = measure_free(self._device), self._settings.engine
        plan = plan_memory(spec, generation, free, options, offload).plan
        if self._loaded is None or not adopt_plan(self._loaded, plan):
            self._loaded = None  # before the next one is loaded: both would not fit
            self._loaded = load_engine(spec, self._device, self._settings, plan)
            self._weights = weights
        return self._loaded

    def _say(self, claim: Claim, progress: Progress) -> None:
        """Tell how far the job is; raise `Cancelled` or `JobLost` if it is to end."""
        self._tell(Beat(claim.job.id))
        if line := self._narrator.line(progress):
            log.info("job %s: %s", claim.job.id, line)
        try:
            is_cancelled = self._store.heartbeat(claim, progress)
        except I2VError as error:  # a full disk, perhaps, and for a while: the job itself goes on
            log.warning("job %s: its progress could not be told: %s", claim.job.id, error)
            return
        if is_cancelled:
            raise Cancelled("job.cancelled")

    @contextmanager
    def _lease(self, claim: Claim) -> Iterator[None]:
        """Extend the lease from a thread: loading and one step of a large model may take minutes."""
        done = threading.Event()

        def extend() -> None:
            while not done.wait(self._settings.worker.lease_seconds / 3):
                try:
                    self._store.heartbeat(claim)
                except JobLost:
                    return
                except I2VError as error:
                    log.warning("job %s: its lease could not be extended: %s", claim.job.id, error)

        thread = threading.Thread(target=extend, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def clean_up(job: Job) -> None:
    """Remove what an attempt that was cut off left: part files, and a video that the job is not to have.

    That is one of a job that was cancelled or failed after the rename and before the commit.
    """
    path = Path(job.output)
    try:
        sweep_parts(path)
        if job.status in ("cancelled", "failed") and is_published(job):
            path.unlink(missing_ok=True)
    except (OSError, EncodeError) as error:
        log.warning("job %s: what is left of it could not be removed: %s", job.id, error)


def is_published(job: Job) -> bool:
    """Tell whether the job's video is there, and is the job's. Raises `EncodeError` (`encode.no_ffmpeg`)."""
    path = Path(job.output)
    if not path.is_file():
        return False
    try:
        return read_tags(path).get(JOB_TAG) == _tag(job)
    except EncodeError as error:
        if error.code != "encode.broken":
            raise
        return False


def _ending(job: Job) -> str:
    """Return how a job ended, for the log: nothing of what was asked for."""
    if job.status == "succeeded" and job.started_at is not None and job.finished_at is not None:
        return f"succeeded after {job.finished_at - job.started_at:.1f} s: {job.output}"
    if job.error is not None:
        return f"{job.status} ({job.error['code']})"
    return job.status


def _tag(job: Job) -> str:
    """Return what the video says of its job: not the id, which gives access to the job."""
    return hashlib.sha256(job.id.encode()).hexdigest()[:32]


def _generation(job: Job) -> Generation:
    return Generation(**job.generation)  # type: ignore[arg-type]  # written by `Service.submit`


def _read_picture(path: Path) -> Picture:
    """Read one of our own files: `i2v.decoder` wrote it."""
    try:
        with Image.open(path, formats=("PNG",)) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise InvalidRequest(
            "job.picture_lost", path=str(path), reason=error.strerror or str(error)
        ) from error
    return Picture(image, image.size, ())


def _insist(change: Callable[[], T]) -> T:
    """Repeat a transaction that the database refuses: its disk may be full, and what has happened counts."""
    for _ in range(MAX_RETRIES):
        try:
            return change()
        except I2VError as error:
            log.error("the database is asked again in %s s: %s", RETRY_SECONDS, error)
            time.sleep(RETRY_SECONDS)
    return change()
