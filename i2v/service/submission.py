"""From a request and its files to a job in the queue.

The files are decoded elsewhere and kept, every number is settled, and the video gets a name that no other job
has. Only then the job is accepted: it is on the disk and will be run. Deliberately does not know how.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from i2v.core.errors import I2VError, InvalidRequest, Notice
from i2v.core.file_names import facts_of
from i2v.core.file_names import picture_name as picture_name_of
from i2v.core.log_context import current_request_id
from i2v.core.memory_plan import PlannedMemory
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.core.users import current_user
from i2v.host import data_folder
from i2v.jobs.model import Job, JsonObject, OutputTaken, Place, Submission
from i2v.jobs.store import JobStore
from i2v.media.audio.files import SoundLimits
from i2v.media.image import ImageLimits
from i2v.media.outputs import OutputName
from i2v.media.video import check_ffmpeg
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.soundtrack import check_start
from i2v.service.advice import limits
from i2v.service.fingerprints import fingerprint
from i2v.service.inputs import Inputs, NewInput, NewSound
from i2v.service.models import Models
from i2v.service.planning import Planner
from i2v.service.readiness import Readiness
from i2v.service.rights import check_role, quota_of
from i2v.service.webhooks import Webhooks

DECODERS = 2  # pictures of jobs that are decoded at the same time: each may take gigabytes
PATIENCE = 30.0  # seconds that a picture waits for its turn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Files:
    """What came with a request, decoded: the image, then the pictures of its `inputs`; and its sound."""

    pictures: list[NewInput]
    sound: NewSound | None

    @property
    def all(self) -> list[NewInput | NewSound]:
        return [*self.pictures, *([] if self.sound is None else [self.sound])]

    @property
    def notices(self) -> list[Notice]:
        return [notice for picture in self.pictures for notice in picture.decoded.notices]


class Submissions:
    """For one service; threads share it."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        inputs: Inputs,
        readiness: Readiness,
        planner: Planner,
        models: Models,
        webhooks: Webhooks,
    ) -> None:
        self._settings = settings
        self._store = store
        self._inputs = inputs
        self._readiness = readiness
        self._planner = planner
        self._models = models
        self._webhooks = webhooks
        self._decoding = threading.Semaphore(DECODERS)

    def submit(
        self,
        fields: JsonObject,
        picture: bytes,
        idempotency_key: str | None = None,
        others: Sequence[bytes] = (),
        place: Place | None = None,
        picture_name: str = "",
    ) -> Job:
        """Accept a job; see `Service.submit`."""
        submitted = datetime.now()
        check_role("make")
        webhook = self._webhooks.parse(fields.get("webhook"))
        request = self._planner.check({name: fields[name] for name in fields if name != "webhook"})
        _check_count(request, others)
        self._readiness.check()
        user = current_user()
        owner, quota = None if user is None else user.name, quota_of(user)
        if idempotency_key is None:  # with one, it may be there already
            self._store.check_room(owner, quota)
        with ExitStack() as open_files:
            files = self._decode(request, picture, others, open_files)
            plan = self._plan(request, files)
            submission = Submission(
                request=dict(plan.asked),
                generation=plan.generation,
                plan=planned_memory(plan),
                notices=(*plan.notices, *files.notices, *limits(plan.generation, plan.spec)),
                input=files.pictures[0].name,
                other_inputs=tuple(each.name for each in files.all[1:]),
                output="",
                fingerprint=fingerprint(request, picture, others, webhook),
                idempotency_key=idempotency_key,
                place=place,
                webhook=None if webhook is None else webhook.model_dump_json(),
                request_id=current_request_id() or None,
                user=owner,
                quota=quota,
                wanted_device=request.device,
                needed_bytes=self._planner.needed_bytes(plan),
                picture_name=picture_name_of(picture_name or ("" if place is None else place.name)),
            )
            job = self.queue(submission, files.all, submitted)
        if job.id == submission.id:  # and not the idempotency key's earlier job
            log.info("job %s: accepted", job.id)
            data_folder.empty_trash(self._settings.service.data_dir)
        return job

    def queue(self, new: Submission, files: Sequence[NewInput | NewSound], submitted: datetime) -> Job:
        """Keep the files, and put the job into the queue under the first name that is free."""
        facts = facts_of(new.generation, new.picture_name)
        names = OutputName.of(self._settings.output, submitted, facts)
        return self._inputs.accept(files, lambda: self._accept(new, names))

    def _accept(self, new: Submission, names: OutputName) -> Job:
        """Put the job into the queue under the first name that neither a file nor another job has."""
        for path in names.candidates():
            if path.exists():
                continue
            try:
                return self._store.submit(replace(new, output=str(path.absolute())))
            except OutputTaken:
                continue
        raise AssertionError("names do not end")

    def _decode(
        self, request: GenerationRequest, picture: bytes, others: Sequence[bytes], open_files: ExitStack
    ) -> _Files:
        """Return the files as ours, each of which has no name yet until the job is accepted."""
        pictures = list[NewInput]()
        for each in (picture, *others[: len(request.inputs)]):
            with turn(self._decoding):
                new = self._inputs.decode(each, ImageLimits.of(self._settings.image))
            pictures.append(open_files.enter_context(closing(new)))
        if request.sound is None:
            return _Files(pictures, None)
        with turn(self._decoding):
            sound = self._inputs.decode_sound(others[-1], SoundLimits.of(self._settings.sound))
        return _Files(pictures, open_files.enter_context(closing(sound)))

    def _plan(self, request: GenerationRequest, files: _Files) -> ClipPlan:
        """Return how the clip is made; refuse what cannot be made here, or not with these files."""
        plan = self._planner.plan_clip(request, files.pictures[0].decoded.size)
        require_weights(plan, self._models)
        check_ffmpeg(plan.has_sound)
        if request.sound is not None and files.sound is not None:
            check_start(request.sound, files.sound.seconds)
        return plan


def planned_memory(plan: ClipPlan) -> PlannedMemory:
    return PlannedMemory(plan.memory.plan, plan.device.type, plan.device.name)


def require_weights(plan: ClipPlan, models: Models) -> None:
    """Raise `ModelUnavailable` where neither the clip's device nor the server has the engine's weights."""
    if plan.spec.name not in (plan.device.models or ()):
        models.require(plan.spec)


@contextmanager
def turn(slots: threading.Semaphore) -> Iterator[None]:
    """Hold one of the `slots`; raise `I2VError` (`image.decoders_busy`) where none gets free in time."""
    if not slots.acquire(timeout=PATIENCE):
        raise I2VError("image.decoders_busy")
    try:
        yield
    finally:
        slots.release()


def _check_count(request: GenerationRequest, others: Sequence[bytes]) -> None:
    names = [*(picture.role for picture in request.inputs), *(["sound_file"] if request.sound else [])]
    if len(others) < len(names):
        raise InvalidRequest("request.missing_field", field=names[len(others)])
    if len(others) > len(names):
        raise ValueError(f"{len(others)} files, but the request names {len(names)}")
