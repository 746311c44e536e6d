"""What the tools do with the service, and what they return.

What a request may be, the service says: fields go to it as they came. Deliberately does not know the
protocol, nor what agents are told of the tools.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from anyio.to_thread import run_sync
from pydantic import BaseModel, Field
from starlette.requests import Request

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import Job, JobStatus, JsonObject, Phase
from i2v.service.rights import check_role
from i2v.web.api.events import is_final, watch
from i2v.web.api.schemas import EnginesBody, JobError, PlanBody
from i2v.web.api.v1 import list_engines, picture_size
from i2v.web.context import AppContext
from i2v.web.mcp.pictures import read_picture, uploads_in

USUAL_WAIT = 45  # seconds: clients give up on a call after a minute, where they do not heed its progress
LONGEST_WAIT = 600


@dataclass(frozen=True)
class Call:
    """A tool's call.

    Attributes:
        request: the HTTP request that it came in.
        report: tells the caller how far it is (0 to 1), and what is being done.
    """

    request: Request
    arguments: JsonObject
    report: Callable[[float, str], Awaitable[None]]

    @property
    def context(self) -> AppContext:
        return AppContext.of(self.request)


class JobState(BaseModel):
    """A job at one moment."""

    job_id: str
    status: JobStatus
    phase: Phase
    progress: float = Field(description="0 to 1")
    eta_seconds: float | None = Field(description="until it is done; null where it is not known")
    queue_position: int | None = Field(description="jobs before it, while it waits")
    error: JobError | None
    notices: list[str] = Field(description="what was changed, or is worth knowing")


class UploadOffer(BaseModel):
    """Where a picture can be sent."""

    upload_id: str
    url: str = Field(description="send the file's bytes here with HTTP PUT, once; it needs no token")
    expires_at: datetime


class Clip(BaseModel):
    """A finished video."""

    job_id: str
    video_url: str = Field(description="an MP4, to be fetched with HTTP GET, once; it needs no token")
    expires_at: datetime
    width: int
    height: int
    num_frames: int
    fps: float
    seed: int
    engine: str
    prompt: str | None


async def engines(call: Call) -> EnginesBody:
    _arguments(call)
    return await run_sync(list_engines, call.request)


async def plan(call: Call) -> PlanBody:
    fields = dict(call.arguments)
    size = picture_size(fields.pop("picture_size", [512, 512]))
    return PlanBody.of(await call.context.plan(fields, size))


async def upload(call: Call) -> UploadOffer:
    _arguments(call)
    check_role("make")  # it takes room from others' uploads, and only `generate` reads it
    upload_id, until = call.context.once.offer_upload()
    url = str(call.request.url_for("send_picture", secret=upload_id))
    return UploadOffer(upload_id=upload_id, url=url, expires_at=datetime.fromtimestamp(until, UTC))


async def generate(call: Call) -> JobState:
    context, fields = call.context, dict(call.arguments)
    seconds = _seconds(fields.pop("wait_seconds", USUAL_WAIT))
    uploads = uploads_in(fields)
    picture, others = await run_sync(partial(_pictures, context, fields), limiter=context.unpacking)
    job = await context.submit(fields, picture, others=others)
    for upload_id in uploads:
        context.once.drop_upload(upload_id)
    return _state(await _wait(call, job, seconds))


async def status(call: Call) -> JobState:
    job_id, seconds = _arguments(call, "job_id", "wait_seconds")
    job = await run_sync(call.context.service.get, str(job_id))
    return _state(await _wait(call, job, _seconds(0 if seconds is None else seconds)))


async def cancel(call: Call) -> JobState:
    (job_id,) = _arguments(call, "job_id")
    return _state(await run_sync(call.context.service.cancel, str(job_id)))


async def fetch(call: Call) -> Clip:
    (job_id,) = _arguments(call, "job_id")
    service = call.context.service
    job = await run_sync(service.get, str(job_id))
    await run_sync(service.video, job.id)  # or say why there is none
    assert job.result is not None  # there is a video
    made = job.result.generation
    secret, until = call.context.once.offer_download(job.id)
    return Clip(
        job_id=job.id,
        video_url=str(call.request.url_for("fetch_video", secret=secret)),
        expires_at=datetime.fromtimestamp(until, UTC),
        width=made.width,
        height=made.height,
        num_frames=job.result.video_frames,
        fps=made.video_fps,
        seed=made.seed,
        engine=made.engine,
        prompt=made.prompt,
    )


def _pictures(context: AppContext, fields: JsonObject) -> tuple[bytes, list[bytes]]:
    """Take the pictures out of `fields`: `image`, then those of `inputs` that have one."""
    if "image" not in fields:
        raise InvalidRequest("request.missing_field", field="image")
    settings = context.settings
    read = partial(
        read_picture,
        once=context.once,
        folders=settings.mcp.folders,
        max_bytes=settings.image.max_megabytes * 1e6,
    )
    picture, others = read(fields.pop("image")), []
    inputs = fields.get("inputs")
    if isinstance(inputs, list):
        fields["inputs"] = inputs = [dict(each) if isinstance(each, dict) else each for each in inputs]
        for each in inputs:
            if not isinstance(each, dict) or "image" not in each:
                break  # what is wrong there, the request says
            others.append(read(each.pop("image")))
    return picture, others


async def _wait(call: Call, job: Job, seconds: float) -> Job:
    """Return the job when it is done, after so many seconds, or when the service ends; report on the way."""
    end, told = time.monotonic() + seconds, -1.0
    async with aclosing(watch(call.context.service, job.id, call.context.closing)) as moments:
        async for moment in moments:
            job = moment or job
            if job.progress > told:  # a report is never behind the one before, whatever became of the job
                told = job.progress
                await call.report(told, job.phase)
            if time.monotonic() >= end:
                break
    return job


def _state(job: Job) -> JobState:
    return JobState(
        job_id=job.id,
        status=job.status,
        phase=job.phase,
        progress=job.progress,
        eta_seconds=None if is_final(job) else job.eta_seconds,
        queue_position=job.queue_position,
        error=None if job.error is None else JobError.of(job.error),
        notices=[notice.message for notice in job.notices],
    )


def _arguments(call: Call, *names: str) -> list[object]:
    """Return the arguments in order, the first of which is needed; refuse others."""
    for name in call.arguments:
        if name not in names:
            allowed = f"left out; known are {', '.join(names)}" if names else "left out: nothing is asked"
            raise InvalidRequest("request.invalid", field=shown(name), value="given", allowed=allowed)
    if names and call.arguments.get(names[0]) is None:
        raise InvalidRequest("request.missing_field", field=names[0])
    return [call.arguments.get(name) for name in names]


def _seconds(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= LONGEST_WAIT:
        return float(given)
    allowed = f"a number from 0 to {LONGEST_WAIT}"
    raise InvalidRequest("request.invalid", field="wait_seconds", value=shown(given), allowed=allowed)
