"""All that the front ends know: submit a picture and a request, follow the job, fetch what came of it.

Owns the parts that do it, starts and stops them. Deliberately does not know HTTP or pages, nor how jobs are
run; torch is never imported here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from i2v.core.engine_spec import EngineSpec, Preset
from i2v.core.errors import I2VError, InvalidRequest, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.users import NO_QUOTA, current_user
from i2v.host import data_folder
from i2v.host.embedding_cache import EmbeddingCache
from i2v.jobs.model import (
    ALL,
    Filters,
    Job,
    JobPage,
    JobStatus,
    JsonObject,
    OwnedFiles,
    Place,
    StatusFilter,
)
from i2v.jobs.store import JobStore
from i2v.media.decoder import examine_bytes, inspect_bytes
from i2v.media.image import ImageLimits, Inspection
from i2v.media.picture_facts import PictureFacts
from i2v.media.unpublished import kept_bytes, remove_kept, sweep
from i2v.media.video import read_last_frame, read_poster, read_tags
from i2v.media.video.animation import MAX_FRAMES, AnimationFormat, read_animation
from i2v.service.batches import Batches
from i2v.service.clip_settings import ClipSettings, settings_of
from i2v.service.enhancing import Enhancements
from i2v.service.executor import Executor
from i2v.service.fitted import fitted_picture
from i2v.service.inputs import Inputs
from i2v.service.job_files import check_video, read_from_video, video_bytes
from i2v.service.library import Deleted, Library
from i2v.service.metrics import Metrics
from i2v.service.models import Models
from i2v.service.overview import Overview, take_overview
from i2v.service.planning import Planner, PlanSummary, Unfinished
from i2v.service.queue import Queue
from i2v.service.readiness import Readiness
from i2v.service.retention import Retention
from i2v.service.rights import check_owner, quota_of
from i2v.service.submission import Submissions, turn
from i2v.service.webhooks import Webhooks
from i2v.workers.cleanup import JOB_TAG, clean_up, tag_of_id
from i2v.workers.devices import DeviceState

__all__ = ["Deleted", "Executor", "PlanSummary", "Service", "Unfinished"]

LOOKERS = 2  # pictures that are looked at while others are decoded: for advice, and to show one again
HEADERS = 4  # of so many the header is read

log = logging.getLogger(__name__)


class Service:
    """The application without a front end. `start` it once, `stop` it at the end.

    Attributes:
        models: which are there; getting, checking and removing one.
        library: what is done with ended jobs: stars, the trash.
        queue: what is done with those that wait or run, as a whole.
        batches: many clips that are asked for together.
        webhooks: the messages to them.
        metrics: what is measured.
    """

    def __init__(
        self, settings: Settings, store: JobStore, executor: Executor, engines: Mapping[str, EngineSpec]
    ) -> None:
        self._settings = settings
        self._store = store
        self._executor = executor
        self._planner = Planner(settings, store, executor, engines)
        self._inputs = Inputs(settings.inputs, store.has_input)
        self._readiness = Readiness(settings, store)
        self._looking = threading.Semaphore(LOOKERS)
        self._inspecting = threading.Semaphore(HEADERS)
        self.engines = engines
        self.models = Models(settings.models, engines)
        self.library = Library(settings, store, self._inputs)
        self.queue = Queue(store, self._wake, self.cancel)
        self.batches = Batches(
            settings.service.data_dir,
            store.batches,
            self,
            self._planner.seconds_left,
            {user.name: user for user in settings.security.users},
        )
        self.webhooks = Webhooks(settings, store.deliveries)
        self.metrics = Metrics(settings, store, executor, self.webhooks)
        self._submissions = Submissions(
            settings, store, self._inputs, self._readiness, self._planner, self.models, self.webhooks
        )
        self._enhancements = Enhancements(
            settings, store, self._readiness, self._planner, self.models, self._submissions.queue
        )
        self._retention = Retention(
            settings.storage, store.owned, self._own_bytes, self._inputs.bytes_of, self.library.delete
        )

    def start(self) -> None:
        """Take up where the last service stopped: interrupted jobs go on, files that nobody owns go away.

        Raises `I2VError` (`data.*`) if the data folder cannot be used.
        """
        folder = self._settings.service.data_dir
        data_folder.prepare(folder)
        for job in self._store.recover_interrupted():
            clean_up(job, self._settings.unpublished)
        data_folder.sweep(folder, self._store.inputs(), is_new=self._store.revision() == 0)
        data_folder.empty_trash(folder)
        sweep(self._settings.unpublished)
        EmbeddingCache.of(self._settings).trim()
        self._executor.start()
        self.batches.start()
        self._retention.start()
        self.webhooks.start()

    def stop(self) -> None:
        self.models.stop()
        self.batches.stop()
        self._retention.stop()
        self._executor.stop()
        self.webhooks.stop()
        self._store.close()

    def problem(self) -> I2VError | None:
        """Return why a job that is submitted now would be refused, or not run; `None` if it would be run."""
        return self._readiness.recent_problem() or self._executor.problem()

    def is_alive(self) -> bool:
        """Tell whether jobs can be run again without a restart of the service."""
        return self._executor.is_alive()

    def devices(self) -> tuple[DeviceState, ...]:
        """Return every worker's device as it is now."""
        return self._executor.devices()

    def overview(self) -> Overview:
        """Return where jobs run and what they find there; waits for nothing."""
        device: DeviceInfo | I2VError | None
        try:
            device = self._executor.device_now()
        except I2VError as error:
            device = error
        return take_overview(self._settings, device)

    # --- jobs

    def submit(
        self,
        fields: JsonObject,
        picture: bytes,
        idempotency_key: str | None = None,
        others: Sequence[bytes] = (),
        place: Place | None = None,
        picture_name: str = "",
    ) -> Job:
        """Accept a job: when this returns, it is on the disk and will be run.

        Args:
            fields: of `GenerationRequest`, and `webhook` (`core.webhook`: a `Webhook`'s, or a `Receiver`).
            picture: the file's bytes, as somebody sent them.
            others: the same of the pictures that the request's `inputs` name, in their order; then of the
                sound, where the request has `sound`.
            idempotency_key: a second submission with the key returns the first one's job.
            place: in the batch that it joins.
            picture_name: what whoever sent the picture calls its file.
        Raises:
            InvalidRequest: `request.*`, `webhook.*`, `image.*`, `output.*`, `batch.*`, `job.*` or
                `security.*`; nothing was accepted.
            QueueFull, InsufficientMemory, EncodeError: not now, or not here.
            ModelUnavailable: `weights.*`; files of the engine are missing.
            I2VError: `image.decoder*`; the picture could not be read now, whatever is in it.
        """
        job = self._submissions.submit(fields, picture, idempotency_key, others, place, picture_name)
        self._executor.wake()
        return job

    def enhance(self, job_id: str, fields: JsonObject) -> Job:
        """Accept a job that makes a better clip of a finished one.

        Whoever may look and submit may ask for it. fields: of `EnhanceRequest`.
        Raises `InvalidRequest` (`request.*`; `job.*` where there is no clip), and as `submit` does.
        """
        job = self._enhancements.submit(job_id, fields)
        self._executor.wake()
        return job

    def extend(self, job_id: str, fields: JsonObject) -> Job:
        """Accept a job that makes a longer clip of a finished one.

        fields: of `ExtendRequest`. Raises as `enhance` and `submit` do.
        """
        job = self._enhancements.extend(job_id, fields)
        self._executor.wake()
        return job

    def get(self, job_id: str) -> Job:
        """Return the job as it is now; raise `InvalidRequest` (`job.unknown`), as all that take an id do."""
        return self._store.get(job_id)

    def own(self, job_id: str) -> Job:
        """Return a job that whoever asks may change; raise `security.*` where it is another user's."""
        job = self._store.get(job_id)
        check_owner(job.user)
        return job

    def by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that whoever asks has submitted with the key; see `JobStore.by_key`."""
        user = current_user()
        return self._store.by_key(idempotency_key, None if user is None else user.name)

    def page(
        self,
        status: StatusFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        search: str = "",
        filters: Filters = ALL,
    ) -> JobPage:
        """See `JobStore.page`."""
        return self._store.page(status, cursor, limit, search, filters)

    def jobs_after(self, job_id: str | None, limit: int, oldest_first: bool = False) -> list[Job]:
        """See `JobStore.after`."""
        return self._store.after(job_id, limit, oldest_first)

    def counts(self) -> dict[JobStatus, int]:
        return self._store.counts()

    def cancel(self, job_id: str) -> Job:
        job = self._store.cancel(self.own(job_id).id)
        if job.status == "cancelled":  # a running one's worker does the same when it has stopped
            remove_kept(self._settings.unpublished, job.id)
        return job

    def retry(self, job_id: str) -> Job:
        job, user = self.own(job_id), current_user()
        is_own = user is not None and user.name == job.user  # others' quotas are not known here
        job = self._store.retry(job.id, quota_of(user) if is_own else NO_QUOTA)
        self._executor.wake()
        return job

    def delete(self, job_id: str) -> Deleted:
        """Remove an ended job for good; see `Library.delete`."""
        return self.library.delete(job_id)

    def revision(self) -> int:
        """Return a number that is the same as long as no job has changed: cheap to ask often."""
        return self._store.revision()

    def preview(self, job_id: str) -> bytes | None:
        """Return the moving preview of a running job (`preview.MIME_TYPE`), if there is one yet."""
        return self._store.preview(job_id)

    def video(self, job_id: str) -> Path:
        """Return the finished video's path; raises `InvalidRequest` as `check_video` does."""
        return check_video(self._store.get(job_id))

    def last_frame(self, job_id: str) -> bytes:
        """Return the finished video's last frame as a PNG file.

        Raises as `video` does, also where only decoding shows that the video is broken, and `EncodeError`
        (`encode.no_ffmpeg`).
        """
        return read_from_video(self._store.get(job_id), read_last_frame)

    def poster(self, job_id: str) -> bytes:
        """Return the finished video's first frame, small, as a JPEG file; raises as `last_frame` does."""
        return read_from_video(self._store.get(job_id), read_poster)

    def animation(self, job_id: str, kind: AnimationFormat) -> bytes:
        """Return the finished video as a moving picture, see `read_animation`; raises as `last_frame` does.

        Raises `InvalidRequest` (`job.too_long_to_export`) too.
        """
        job = self._store.get(job_id)
        if (frames := job.video_frames) > MAX_FRAMES:
            raise InvalidRequest("job.too_long_to_export", id=job.id, frames=frames, allowed=MAX_FRAMES)
        return read_from_video(job, lambda path: read_animation(path, kind))

    def picture(self, job: Job, name: str | None = None) -> bytes | None:
        """Return the picture that the job was given, upright and whole, as PNG; `None` if it is gone.

        name: of another one of `Job.inputs`. Raises `I2VError` (`image.*`) if it cannot be read now.
        """
        with turn(self._looking):
            return self._inputs.png(name or job.input)

    def sound(self, job: Job) -> bytes | None:
        """Return the sound that the job was given, as WAV; `None` if there is none, or it is gone."""
        return None if job.track is None else self._inputs.sound(job.track)

    def fitted_picture(self, job_id: str) -> bytes:
        """Return the picture that the job was given as its clip has it (`fitted.MIME_TYPE`).

        Raises `InvalidRequest` (`job.no_thumbnail`) where it is gone; `I2VError` (`image.*`) if it cannot be
        read now.
        """
        job = self._store.get(job_id)
        with turn(self._looking):
            picture = self._inputs.picture(job.input)
        if picture is None or job.generation is None:
            raise InvalidRequest("job.no_thumbnail", id=job.id)
        return fitted_picture(picture, job.generation)

    def settings_of(self, video: Path) -> ClipSettings:
        """See `clip_settings.settings_of`."""
        return settings_of(video, self.engines)

    def job_of(self, video: Path) -> Job | None:
        """Return the job that made the video, wherever its file lies; `None` if it is not one of ours.

        Raises `EncodeError` where the file cannot be read.
        """
        tag = read_tags(video).get(JOB_TAG)
        found = next((each for each in self._store.library.ids() if tag_of_id(each) == tag), None)
        return None if found is None else self._store.get(found)

    def thumbnail(self, job_id: str) -> bytes:
        """Return the picture that the job was given, small (`decoder.THUMBNAIL_TYPE`).

        Also of a job in the trash, so that a person knows it again. Raises `InvalidRequest`
        (`job.no_thumbnail`) where it is gone.
        """
        job = self._store.library.trashed(job_id)
        thumbnail = self._inputs.thumbnail(job.input)
        if thumbnail is None:  # somebody tidied up
            raise InvalidRequest("job.no_thumbnail", id=job.id)
        return thumbnail

    # --- what can be asked for, and what it would take

    def engine(self, name: str = "auto") -> EngineSpec:
        """Return the engine called `name`; see `Planner.engine`."""
        return self._planner.engine(name)

    def presets(self, spec: EngineSpec) -> dict[str, Preset]:
        """Return the presets as `spec` has them."""
        return self._planner.presets(spec)

    def plan(self, fields: JsonObject, picture_size: tuple[int, int] = (512, 512)) -> PlanSummary:
        """Return what a request would take on this machine; raises `InvalidRequest` as `submit` does."""
        return self._planner.plan(fields, picture_size)

    def examine(self, picture: bytes) -> PictureFacts:
        """Return what is found in a picture that may be submitted; raises as `submit` does because of it."""
        with turn(self._looking):
            return examine_bytes(picture, ImageLimits.of(self._settings.image))

    def inspect(self, picture: bytes) -> Inspection:
        """Return what the picture's header tells; raises what `submit` would raise because of it."""
        with turn(self._inspecting):
            return inspect_bytes(picture, ImageLimits.of(self._settings.image))

    def explain_choice(self) -> Notice | None:
        """Return which engine jobs that name none are run by, and why; `None` where the settings name it."""
        return self._planner.explain_choice()

    def expected_start(self, job: Job) -> float | None:
        """Return in how many seconds a queued job should start; `None` if it is not queued or not known."""
        return self._planner.expected_start(job)

    def unfinished(self) -> list[Unfinished]:
        """Return the running jobs, then all queued ones in their order."""
        return self._planner.unfinished()

    # --- how

    def _wake(self) -> None:
        self._executor.wake()

    def _own_bytes(self, job: OwnedFiles) -> int:
        """Return how much the job takes besides its picture."""
        return video_bytes(job) + kept_bytes(self._settings.unpublished, job.id)
