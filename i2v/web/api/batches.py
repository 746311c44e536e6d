"""The REST API of batches: many clips that are asked for together.

Owns addresses, bodies and their forms. A job of a batch is a job like any other: its own addresses are those
of `v1`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2v.core.schema import invalid_field
from i2v.core.webhook import BatchWebhook
from i2v.jobs.batches import Batch, Row, RowStatus
from i2v.jobs.model import JsonObject
from i2v.service.batches import MAX_NAME
from i2v.web.api.charsets import check_query
from i2v.web.api.intake import JSON, read_json, read_submission
from i2v.web.api.request_schemas import SUBMISSION, JsonSchema
from i2v.web.api.schemas import AcceptedBody, JobError, video_url
from i2v.web.api.v1 import MAX_KEY, accepted
from i2v.web.api.zip_stream import zip_stream
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems

router = APIRouter(prefix=f"{PREFIX}/batches", tags=["batches"])

Key = Annotated[str | None, Header(min_length=1, max_length=MAX_KEY)]


class NewBatch(BaseModel):
    """A batch to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=MAX_NAME, description="for people")
    fields: JsonObject = Field(
        default_factory=dict, description="of a job's request: what its jobs do not say themselves"
    )
    webhook: JsonObject | None = None


class RowBody(BaseModel):
    """A picture of a batch, and what became of it."""

    number: int = Field(description="from 1, in the order in which they came")
    name: str
    status: RowStatus = Field(
        description="that of its job; waiting: to become one, as the queue is full; deleted: the job is gone"
    )
    progress: float = Field(description="of the job, 0 to 1")
    job_id: str | None
    video_url: str | None = Field(description="null unless it succeeded")
    error: JobError | None


class BatchBody(BaseModel):
    """A batch at one moment."""

    id: str
    name: str
    owner: str | None = Field(description="the name of the user whose it is; null: nobody's")
    fields: JsonObject
    created_at: datetime
    total: int
    counts: dict[RowStatus, int]
    progress: float = Field(description="of all, 0 to 1; what has ended is done, whatever came of it")
    finished: bool = Field(description="nothing of it waits or runs")
    seconds_left: float | None = Field(description="until all is done; null where it is not known")


class BatchWithRows(BatchBody):
    """The same with its pictures."""

    rows: list[RowBody]


class BatchesBody(BaseModel):
    """Some batches, newest first."""

    batches: list[BatchBody]
    next_cursor: str | None = Field(description="asks for the older ones; null where there are none")


class DeletedBatchBody(BaseModel):
    id: str
    deleted: bool = True


class BatchListing(BaseModel):
    """Which batches are asked for."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(None, description="next_cursor of the page before")
    limit: int = Field(50, ge=1, le=200)


_WEBHOOK: JsonSchema = {
    "anyOf": [BatchWebhook.model_json_schema(), {"type": "null"}],
    "description": "who is told each time that nothing of this batch waits or runs any more",
}
_SCHEMA = NewBatch.model_json_schema()
_SCHEMA["properties"]["webhook"] = _WEBHOOK
_BODY = {"required": True, "content": {JSON: {"schema": _SCHEMA}}}


@router.post(
    "", status_code=201, responses=problems(403, 413, 415, 422, 503), openapi_extra={"requestBody": _BODY}
)
async def create_batch(request: Request, response: Response, idempotency_key: Key = None) -> BatchBody:
    """Make an empty batch, or return the one that was made with the same Idempotency-Key."""
    service = AppContext.of(request).service
    try:
        new = NewBatch.model_validate(await read_json(request))
    except ValidationError as error:
        raise invalid_field(error) from None
    batch = await run_sync(service.batches.create, new.name, new.fields, idempotency_key, new.webhook)
    response.headers["Location"] = str(request.url_for("get_batch", batch_id=batch.id))
    return await run_sync(_body, request, batch)


@router.post(
    "/{batch_id}/jobs",
    status_code=202,
    responses=problems(403, 404, 409, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": SUBMISSION},
)
async def submit_batch_job(
    request: Request,
    response: Response,
    batch_id: str,
    name: Annotated[str, Query(max_length=MAX_NAME, description="of the picture, for people")] = "",
    idempotency_key: Key = None,
) -> AcceptedBody:
    """Put a job into the queue that belongs to the batch: as POST /jobs, and kept whatever happens.

    Fields that are not given are those of the batch.
    """
    context = AppContext.of(request)
    check_query(request.scope["query_string"])
    await run_sync(context.service.batches.own, batch_id)  # before the picture is read
    sent = await read_submission(request)
    submit = partial(context.service.batches.submit, batch_id, name, sent.fields, sent.picture)
    job = await context.submitted(lambda: submit(idempotency_key, sent.others, sent.picture_name))
    return await accepted(job, request, response)


@router.get("", responses=problems(404, 422, 503))
def list_batches(request: Request, listing: Annotated[BatchListing, Query()]) -> BatchesBody:
    """List batches, newest first, from where the page before ended."""
    found = AppContext.of(request).service.batches.page(listing.cursor, listing.limit + 1)
    shown = found[: listing.limit]
    return BatchesBody(
        batches=[_body(request, batch) for batch in shown],
        next_cursor=shown[-1].id if len(found) > len(shown) else None,
    )


@router.get("/{batch_id}", responses=problems(404, 503))
def get_batch(request: Request, batch_id: str) -> BatchWithRows:
    """Tell how a batch is, and each picture of it."""
    batches = AppContext.of(request).service.batches
    rows = [_row(request, row) for row in batches.rows(batch_id)]
    return BatchWithRows(**vars(_body(request, batches.get(batch_id))), rows=rows)


@router.post("/{batch_id}/cancel", status_code=202, responses=problems(403, 404, 503))
def cancel_batch(request: Request, batch_id: str) -> BatchBody:
    """Cancel all of the batch that has not ended: at once, or at the running job's next step."""
    return _body(request, AppContext.of(request).service.batches.cancel(batch_id))


@router.post("/{batch_id}/retry", status_code=202, responses=problems(403, 404, 429, 503))
def retry_batch(request: Request, batch_id: str) -> BatchBody:
    """Put all failed and cancelled jobs of the batch at the end of the queue."""
    return _body(request, AppContext.of(request).service.batches.retry(batch_id))


@router.get(
    "/{batch_id}/zip",
    responses={200: {"content": {"application/zip": {}}}, **problems(404, 409, 503)},
    response_class=StreamingResponse,
)
def get_batch_zip(request: Request, batch_id: str) -> StreamingResponse:
    """Return all videos of the batch that are there now as one ZIP file."""
    files = AppContext.of(request).service.batches.videos(batch_id)
    headers = {
        "Content-Disposition": f'attachment; filename="i2v-batch-{batch_id[:8]}.zip"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(zip_stream(files), headers=headers, media_type="application/zip")


@router.delete("/{batch_id}", responses=problems(403, 404, 409, 422, 503))
def delete_batch(
    request: Request,
    batch_id: str,
    clips: Annotated[bool, Query(description="delete its jobs too, with their videos and pictures")] = False,
) -> DeletedBatchBody:
    """Delete the batch. Its jobs stay; with clips they go too, once all of them have ended (else 409)."""
    AppContext.of(request).service.batches.delete(batch_id, clips)
    return DeletedBatchBody(id=batch_id)


def _body(request: Request, batch: Batch) -> BatchBody:
    return BatchBody(
        id=batch.id,
        name=batch.name,
        owner=batch.user,
        fields=batch.fields,
        created_at=datetime.fromtimestamp(batch.created_at, UTC),
        total=batch.total,
        counts=dict(batch.counts),
        progress=batch.progress,
        finished=batch.is_finished,
        seconds_left=AppContext.of(request).service.batches.seconds_left(batch),
    )


def _row(request: Request, row: Row) -> RowBody:
    return RowBody(
        number=row.number,
        name=row.name,
        status=row.status,
        progress=row.progress,
        job_id=row.job,
        video_url=video_url(row.job, request) if row.job and row.status == "succeeded" else None,
        error=None if row.error is None else JobError.of(row.error),
    )
