"""The REST API, version 1: jobs, and what can be asked for.

Owns addresses, methods and headers. What a request may be, what a job goes through and what an error means is
said elsewhere: every value goes to `Service` as it came.
"""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import Job
from i2v.web.api.charsets import check_query
from i2v.web.api.events import Seen, event_stream, is_final, watch
from i2v.web.api.intake import read_json, read_submission
from i2v.web.api.request_schemas import ENHANCEMENT, EVENT, EXTENSION, MAX_PICTURE_SIDE, PLANNED, SUBMISSION
from i2v.web.api.schemas import (
    AcceptedBody,
    DeletedBody,
    EngineBody,
    EnginesBody,
    JobBody,
    Listing,
    PageBody,
    PlanBody,
    PresetsBody,
    job_body,
)
from i2v.web.context import PREFIX, AppContext
from i2v.web.guard.access import may_know
from i2v.web.problems import Refusal, problem_of, problems
from i2v.weights import is_available

MAX_KEY = 255  # characters of an Idempotency-Key

root = APIRouter(tags=["service"])
router = APIRouter(prefix=PREFIX)


# --- the service itself


@root.get("/healthz", response_class=PlainTextResponse, responses=problems(503))
async def healthz(request: Request) -> str:
    """Say that the process answers, and needs no restart."""
    if not AppContext.of(request).service.is_alive():
        raise I2VError("server.halted")
    return "ok"


@root.get("/readyz", response_class=PlainTextResponse, responses=problems(503))
async def readyz(request: Request) -> str:
    """Say whether a job that is submitted now would be accepted and run; if not, with the token, why.

    A paused queue is no fault: whoever is asked by a load balancer must be reached to go on. Nor is a device
    that is set aside, as long as another one takes jobs.
    """
    if problem := await AppContext.of(request).problem():
        error = problem if may_know(request) else I2VError("server.not_now")
        raise Refusal(problem_of(error))  # the log has it once, and not for each who asks
    service = AppContext.of(request).service
    words = ["the queue is paused"] if await run_sync(service.queue.is_paused) else []
    states = service.devices()
    aside = [state for state in states if state.activity == "set_aside"]
    words += [f"{len(aside)} of {len(states)} workers are set aside"] if aside else []
    return f"ok, but {' and '.join(words)}" if words else "ok"


# --- jobs


@router.post(
    "/jobs",
    status_code=202,
    responses=problems(403, 409, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": SUBMISSION},
    tags=["jobs"],
)
async def submit_job(
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY)] = None,
) -> AcceptedBody:
    """Put a job into the queue; once this is answered, the job is kept whatever happens.

    A second submission with the same Idempotency-Key and the same content returns the first one's job.
    """
    sent = await read_submission(request)
    submit = AppContext.of(request).submit
    job = await submit(sent.fields, sent.picture, idempotency_key, sent.others, sent.picture_name)
    return await accepted(job, request, response)


async def accepted(job: Job, request: Request, response: Response) -> AcceptedBody:
    """Answer that the job is in the queue, and where it is."""
    response.headers["Location"] = str(request.url_for("get_job", job_id=job.id))
    seconds = await run_sync(AppContext.of(request).service.expected_start, job)
    body = await run_sync(job_body, job, request)
    return AcceptedBody(**vars(body), expected_start_seconds=seconds)


@router.get("/jobs", responses=problems(422, 503), tags=["jobs"])
def list_jobs(request: Request, listing: Annotated[Listing, Query()]) -> PageBody:
    """List jobs, newest first unless `order` says otherwise, from where the page before ended."""
    check_query(request.scope["query_string"])
    page = AppContext.of(request).service.page(
        listing.status, listing.cursor, listing.limit, listing.search, listing.filters
    )
    return PageBody(jobs=[job_body(job, request) for job in page.jobs], next_cursor=page.next_cursor)


@router.get("/jobs/{job_id}", responses=problems(404, 503), tags=["jobs"])
def get_job(request: Request, job_id: str) -> JobBody:
    """Tell how a job is."""
    return job_body(AppContext.of(request).service.get(job_id), request)


@router.delete(
    "/jobs/{job_id}",
    status_code=202,
    response_model=JobBody,
    responses={
        200: {"model": DeletedBody, "description": "With purge or trash: the job is deleted."},
        202: {"description": "Without: the job is cancelled, or will be at its next step."},
        **problems(403, 404, 409, 422, 503),
    },
    tags=["jobs"],
)
def cancel_job(
    request: Request,
    job_id: str,
    purge: Annotated[bool, Query(description="delete an ended job with its video and picture")] = False,
    trash: Annotated[bool, Query(description="the same, but it can be restored for a while")] = False,
) -> JobBody | Response:
    """Cancel a job: at once if it is queued, at its next step if it is running. It stays in the list.

    With trash, put a job that has ended into the trash; with purge, delete it for good, in the trash or not:
    its video, its picture and all that is known of it. One that is queued or running has to be cancelled
    first (409).
    """
    service = AppContext.of(request).service
    if not (purge or trash):
        return job_body(service.cancel(job_id), request)
    deleted = service.library.delete(job_id) if purge else service.library.trash(job_id)
    return JSONResponse(DeletedBody.of(deleted).model_dump(mode="json"))


@router.post(
    "/jobs/{job_id}/retry", status_code=202, responses=problems(403, 404, 409, 429, 503), tags=["jobs"]
)
async def retry_job(request: Request, response: Response, job_id: str) -> AcceptedBody:
    """Put a failed or cancelled job at the end of the queue."""
    job = await run_sync(AppContext.of(request).service.retry, job_id)
    return await accepted(job, request, response)


@router.post(
    "/jobs/{job_id}/rerun",
    status_code=202,
    responses=problems(403, 404, 409, 410, 413, 415, 422, 429, 503, 507),
    tags=["jobs"],
)
async def rerun_job(request: Request, response: Response, job_id: str) -> AcceptedBody:
    """Make a new job of what a job asked for, with a new seed: also of one that has succeeded."""
    job = await AppContext.of(request).submit_again(job_id)
    return await accepted(job, request, response)


@router.post(
    "/jobs/{job_id}/enhance",
    status_code=202,
    responses=problems(403, 404, 409, 410, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": ENHANCEMENT},
    tags=["jobs"],
)
async def enhance_job(request: Request, response: Response, job_id: str) -> AcceptedBody:
    """Make a new job of a finished clip: larger, with frames in between, or both. The clip itself stays."""
    job = await AppContext.of(request).enhance(job_id, await read_json(request))
    return await accepted(job, request, response)


@router.post(
    "/jobs/{job_id}/extend",
    status_code=202,
    responses=problems(403, 404, 409, 410, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": EXTENSION},
    tags=["jobs"],
)
async def extend_job(request: Request, response: Response, job_id: str) -> AcceptedBody:
    """Make a new job of a finished clip: the clip, and so many seconds more. The clip itself stays."""
    job = await AppContext.of(request).extend(job_id, await read_json(request))
    return await accepted(job, request, response)


@router.get(
    "/jobs/{job_id}/events",
    responses={
        200: {
            "content": {"text/event-stream": {"schema": EVENT}},
            "description": "state: the job's JSON. progress: {phase, progress, step, total, eta_seconds,"
            " queue_position}. preview: {url, revision}. The stream ends when the job is finished.",
        },
        204: {"description": "The job is finished, and Last-Event-ID is its last event: do not come back."},
        **problems(404, 503),
    },
    response_class=StreamingResponse,
    tags=["jobs"],
)
async def get_events(
    request: Request, job_id: str, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Follow a job by server-sent events; with Last-Event-ID, from there on."""
    context = AppContext.of(request)
    job = await run_sync(context.service.get, job_id)
    seen = Seen.parse(last_event_id)
    if is_final(job) and seen.knows(job):
        return Response(status_code=204)
    stream = event_stream(
        watch(context.service, job_id, context.closing),
        seen,
        lambda now: job_body(now, request).model_dump_json(),
        str(request.url_for("get_preview", job_id=job_id)),
    )
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: for nginx
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


# --- what can be asked for


@router.get("/engines", tags=["what there is"])
def list_engines(request: Request) -> EnginesBody:
    """List the models."""
    context = AppContext.of(request)
    models = context.settings.models
    specs = context.service.engines.values()
    return EnginesBody(engines=[EngineBody.of(spec, is_available(spec, models)) for spec in specs])


@router.get("/presets", tags=["what there is"])
def list_presets(request: Request) -> PresetsBody:
    """List the presets as each model has them."""
    service = AppContext.of(request).service
    return PresetsBody(presets={name: service.presets(spec) for name, spec in service.engines.items()})


@router.post(
    "/plan",
    responses=problems(409, 413, 415, 422, 503),
    openapi_extra={"requestBody": PLANNED},
    tags=["what there is"],
)
async def plan_job(request: Request) -> PlanBody:
    """Tell what a request would take on this machine, without a picture and without a job."""
    context = AppContext.of(request)
    fields = await read_json(request)
    size = picture_size(fields.pop("picture_size", [512, 512]))
    return PlanBody.of(await context.plan(fields, size))


def picture_size(value: object) -> tuple[int, int]:
    """Return the `picture_size` of a plan; raise `InvalidRequest`."""
    if isinstance(value, list) and len(value) == 2:
        width, height = value
        sides = range(1, MAX_PICTURE_SIDE + 1)
        if type(width) is int and type(height) is int and width in sides and height in sides:
            return width, height
    allowed = f"[width, height] in pixels, each from 1 to {MAX_PICTURE_SIDE}"
    raise InvalidRequest("request.invalid", field="picture_size", value=shown(value), allowed=allowed)
