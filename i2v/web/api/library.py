"""The REST API's part about jobs that are kept: stars, tags, another place in the queue, what was deleted.

Owns the addresses; what they mean is `service.library`'s and `service.queue`'s.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from i2v.jobs.library import MAX_TAGS, tag_of
from i2v.web.api.schemas import DeviceBody, JobBody, job_body
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems

router = APIRouter(prefix=PREFIX)


class ChangeBody(BaseModel):
    """What can be changed of a job; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    starred: bool | None = None
    add_tags: list[str] = Field(default_factory=list, max_length=MAX_TAGS)
    remove_tags: list[str] = Field(default_factory=list, max_length=MAX_TAGS)
    queue_position: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="of a queued job: how many are to run before it; 0: as near to the front as can be",
    )


class TagsBody(BaseModel):
    """The tags that there are."""

    tags: dict[str, int] = Field(description="how many jobs have each")


class QueueBody(BaseModel):
    """The queue as a whole."""

    paused: bool = Field(description="no job begins; one that runs is finished, and new ones are accepted")
    running: int
    queued: int
    devices: list[DeviceBody] = Field(description="where jobs run; with several workers, once for each")


class DevicesBody(BaseModel):
    devices: list[DeviceBody]


class QueueChange(BaseModel):
    """What can be changed of the queue."""

    model_config = ConfigDict(extra="forbid", strict=True)

    paused: bool


@router.patch("/jobs/{job_id}", responses=problems(403, 404, 409, 422, 503), tags=["jobs"])
def change_job(request: Request, job_id: str, change: ChangeBody) -> JobBody:
    """Give a job a star or tags, or take them away; let a queued one wait at another place."""
    service = AppContext.of(request).service
    job = service.get(job_id)
    for tag in (*change.add_tags, *change.remove_tags):
        tag_of(tag)  # before anything is changed
    if change.queue_position is not None:  # first, since it may be refused
        job = service.queue.move(job_id, change.queue_position)
    if change.add_tags or change.remove_tags:
        job = service.library.tag(job_id, change.add_tags, change.remove_tags)
    if change.starred is not None:
        job = service.library.star(job_id, change.starred)
    return job_body(job, request)


@router.post("/jobs/{job_id}/restore", responses=problems(403, 404, 409, 503), tags=["jobs"])
def restore_job(request: Request, job_id: str) -> JobBody:
    """Take a job out of the trash, with its video."""
    return job_body(AppContext.of(request).service.library.restore(job_id), request)


@router.get("/tags", responses=problems(503), tags=["jobs"])
def list_tags(request: Request) -> TagsBody:
    """List the tags of all jobs."""
    return TagsBody(tags=AppContext.of(request).service.library.tags())


@router.get("/queue", responses=problems(503), tags=["jobs"])
def get_queue(request: Request) -> QueueBody:
    """Tell whether the queue is paused, and how many jobs run and wait."""
    service = AppContext.of(request).service
    counts = service.counts()
    return QueueBody(
        paused=service.queue.is_paused(),
        running=counts["running"],
        queued=counts["queued"],
        devices=[DeviceBody.of(state) for state in service.devices()],
    )


@router.get("/devices", tags=["what there is"])
def list_devices(request: Request) -> DevicesBody:
    """List the devices that jobs run on, each with its job."""
    states = AppContext.of(request).service.devices()
    return DevicesBody(devices=[DeviceBody.of(state) for state in states])


@router.patch("/queue", responses=problems(403, 422, 503), tags=["jobs"])
def change_queue(request: Request, change: QueueChange) -> QueueBody:
    """Pause the queue, or let it go on. It stays paused over restarts."""
    queue = AppContext.of(request).service.queue
    if change.paused:
        queue.pause()
    else:
        queue.resume()
    return get_queue(request)
