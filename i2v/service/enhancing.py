"""Jobs that make something better or longer of a finished clip: submitted by the id of the job that made it.

Owns what happens before such a job is in the queue: the clip is read, every number is settled, and the file
is kept for the job beside the pictures of others, so that deleting the first job takes nothing from this one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from i2v.core.enhancement import EnhanceRequest
from i2v.core.errors import EncodeError, InvalidRequest, Notice, not_stored
from i2v.core.extension import ExtendRequest
from i2v.core.generation import Generation
from i2v.core.log_context import current_request_id
from i2v.core.memory_plan import PlannedMemory
from i2v.core.settings import Settings
from i2v.core.users import current_user
from i2v.jobs.model import CLIP_SUFFIX, Job, JsonObject, Submission, new_job_id
from i2v.jobs.store import JobStore
from i2v.media.decoder import DecodedFile, thumbnail_of
from i2v.media.video import check_ffmpeg, read_poster
from i2v.pipeline.enhance import Source, read_source, resolve_enhancement
from i2v.service.inputs import NewInput
from i2v.service.job_files import check_video
from i2v.service.models import Models
from i2v.service.planning import Planner
from i2v.service.readiness import Readiness
from i2v.service.rights import check_role, quota_of
from i2v.service.submission import planned_memory, require_weights

# Of the first job's request, what the new one says by itself.
_ANEW = ("inputs", *EnhanceRequest.model_fields)

# The same of a request for a longer clip, which is made with all else that the clip was made with.
_OF_OLD_PART = ("inputs", "story", "loop", "sound", "narration", *ExtendRequest.model_fields)

Queue = Callable[[Submission, Sequence[NewInput], datetime], Job]  # `Submissions.queue`

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Settled:
    """What is settled of a job that is made of a clip; see `Submission`."""

    generation: Generation
    notices: tuple[Notice, ...]
    plan: PlannedMemory | None = None
    wanted_device: str | None = None
    needed_bytes: int | None = None


class Enhancements:
    """For one service; threads share it."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        readiness: Readiness,
        planner: Planner,
        models: Models,
        queue: Queue,
    ) -> None:
        self._planner = planner
        self._models = models
        self._settings = settings
        self._store = store
        self._readiness = readiness
        self._queue = queue

    def submit(self, job_id: str, fields: JsonObject) -> Job:
        """Accept a job for the clip of another one; see `Service.enhance`."""
        submitted = datetime.now()
        check_role("make")
        request = EnhanceRequest.parse(fields)
        job, source = self._find(job_id)
        ran, upscaling = job.generation or source.generation, self._settings.output.upscaler
        generation, notices = resolve_enhancement(request, source, ran, upscaling)
        asked = {name: value for name, value in job.request.items() if name not in _ANEW}
        asked |= request.model_dump(mode="json", exclude_none=True)
        return self._submit(job, source, submitted, asked, _Settled(generation, notices))

    def extend(self, job_id: str, fields: JsonObject) -> Job:
        """Accept a job that makes the clip of another one longer; see `Service.extend`."""
        submitted = datetime.now()
        check_role("make")
        request = ExtendRequest.parse(fields)
        job, source = self._find(job_id)
        plan = self._planner.plan_extension(request, source, job.generation or source.generation)
        require_weights(plan, self._models)
        asked = {name: value for name, value in job.request.items() if name not in _OF_OLD_PART}
        asked |= request.model_dump(mode="json", exclude_none=True)
        asked["prompt"] = plan.generation.story[-1].prompt
        settled = _Settled(
            plan.generation,
            plan.notices,
            planned_memory(plan),
            request.device,
            self._planner.needed_bytes(plan),
        )
        return self._submit(job, source, submitted, asked, settled)

    def _find(self, job_id: str) -> tuple[Job, Source]:
        """Return the job and its clip, if another job would be taken now."""
        user = current_user()
        job = self._store.get(job_id)
        self._readiness.check()
        self._store.check_room(None if user is None else user.name, quota_of(user))
        return job, self._read(job)

    def _submit(
        self, job: Job, source: Source, submitted: datetime, asked: JsonObject, settled: _Settled
    ) -> Job:
        """Keep the clip for a job that is made of it, and accept that."""
        check_ffmpeg(source.video.sound is not None)
        user, asked = current_user(), {**asked, "source_job": job.id}
        new = self._keep(source)
        try:
            submission = Submission(
                request=asked,
                generation=settled.generation,
                plan=settled.plan,
                notices=settled.notices,
                input=job.input,
                other_inputs=(new.name,),
                output="",
                fingerprint=hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(),
                request_id=current_request_id() or None,
                user=None if user is None else user.name,
                quota=quota_of(user),
                wanted_device=settled.wanted_device,
                needed_bytes=settled.needed_bytes,
                picture_name=job.picture_name,
            )
            made = self._queue(submission, [new], submitted)
        finally:
            new.close()
        log.info("job %s: accepted, of the clip of job %s", made.id, job.id)
        return made

    def _read(self, job: Job) -> Source:
        path = check_video(job)
        try:
            return read_source(path)
        except EncodeError as error:
            if error.code != "encode.broken":
                raise
            check_video(job)  # it may have gone meanwhile
            reason = error.params["reason"]
            raise InvalidRequest("job.video_broken", id=job.id, path=str(path), reason=reason) from error

    def _keep(self, source: Source) -> NewInput:
        """Return the clip as a file of the folder of inputs that has no name yet, with its first frame."""
        video, folder = source.video, self._settings.inputs
        part = folder / f"{source.sha256}-{new_job_id()}.part"
        new = NewInput(f"{source.sha256}{CLIP_SUFFIX}", DecodedFile((video.width, video.height), ()), part)
        try:
            thumbnail_of(part).write_bytes(read_poster(video.path))
            _link_or_copy(video.path, part)
        except OSError as error:
            new.close()
            raise not_stored(folder, error) from error
        except BaseException:
            new.close()
            raise
        return new


def enhancement_of(job: Job) -> JsonObject:
    """Return the fields of the `EnhanceRequest` that such a job was submitted with."""
    return {name: job.request[name] for name in EnhanceRequest.model_fields if name in job.request}


def extension_of(job: Job) -> JsonObject:
    """Return the fields of the `ExtendRequest` that such a job was submitted with, but for the seed."""
    names = (name for name in ExtendRequest.model_fields if name != "seed")
    return {name: job.request[name] for name in names if name in job.request}


def _link_or_copy(path: Path, part: Path) -> None:
    """Have the file under a second name; on another disk, a copy."""
    try:
        os.link(path, part)
    except OSError:
        shutil.copyfile(path, part)
