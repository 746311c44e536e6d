"""Cog's predictions over our jobs: /predictions, as clients of a model in a Cog container speak it.

Owns how a prediction is a job of ours, and back (https://cog.run/http). A client may give a prediction an
id of its own, which finds the job again by its idempotency key; otherwise its id is the job's. A job is
durable and the same as any other: unlike Cog's, it goes on where a client hangs up, and can be asked for.
"""

from __future__ import annotations

import difflib
import re
import time
from contextlib import aclosing
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.webhook import PredictionWebhook
from i2v.jobs.messages import PREDICTION_STATUS, PredictionStatus, iso_time
from i2v.jobs.model import Job, JsonObject
from i2v.web.api.events import is_final, watch
from i2v.web.api.intake import JSON, Submitted, read_json_as, take_pictures
from i2v.web.api.json_body import parse_object
from i2v.web.api.request_schemas import IMAGE_TEXT, INPUTS, SOUND_TEXT, JsonSchema, body_schema
from i2v.web.api.schemas import video_url
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import Refusal, problem_of, problems

ID = r"^[A-Za-z0-9_-]{1,100}$"
LONGEST_WAIT = 3600  # seconds of Prefer: wait=
USUAL_WAIT = 60  # of Prefer: wait, as Replicate has it
_IGNORED = ("version", "created_at")  # nothing here reads them
_FIELDS = ("input", "id", "webhook", "webhook_events_filter", *_IGNORED)

router = APIRouter(prefix="/predictions", tags=["Cog predictions"])

PredictionId = Annotated[str, Path(pattern=ID)]
Prefer = Annotated[
    str | None,
    Header(
        description="respond-async: answer at once; wait=SECONDS: after so long at the latest; neither:"
        " once it is done"
    ),
]


class Prediction(BaseModel):
    """A job in their words."""

    id: str
    status: PredictionStatus
    input: JsonObject = Field(description="without the pictures")
    output: str | None = Field(description="the video's URL")
    error: str | None
    logs: Literal[""] = ""
    metrics: dict[str, float] = Field(
        description="predict_time: seconds of its last attempt, once it is done"
    )
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: dict[str, str] = Field(description="get, cancel")


_INPUT = body_schema({"image": IMAGE_TEXT}, {"inputs": INPUTS, "sound_file": SOUND_TEXT})
_DEFINITIONS = _INPUT.pop("$defs")
_NULL: JsonSchema = {"type": "null"}
_HOOK = PredictionWebhook.model_json_schema()["properties"]
_BODY: JsonSchema = {
    "type": "object",
    "required": ["input"],
    "additionalProperties": False,
    "properties": {
        "input": _INPUT,
        "id": {"anyOf": [{"type": "string", "pattern": ID}, _NULL]},
        "webhook": {"anyOf": [_HOOK["url"], _NULL]},
        "webhook_events_filter": {"anyOf": [_HOOK["events"], _NULL]},
        **{name: {} for name in _IGNORED},
    },
    "$defs": _DEFINITIONS,
}
_CREATE = {"requestBody": {"required": True, "content": {JSON: {"schema": _BODY}}}}
_ANSWERS = {
    202: {"model": Prediction, "description": "It is not done yet."},
    **problems(403, 409, 413, 415, 422, 429, 503, 507),
}


@router.post("", responses=_ANSWERS, openapi_extra=_CREATE)
async def create_prediction(request: Request, response: Response, prefer: Prefer = None) -> Prediction:
    """Make a video; answer once it is done, unless Prefer says otherwise."""
    return await _create(request, response, None, prefer)


@router.put("/{prediction_id}", responses=_ANSWERS, openapi_extra=_CREATE)
async def put_prediction(
    request: Request, response: Response, prediction_id: PredictionId, prefer: Prefer = None
) -> Prediction:
    """Make a video with an id of the client's, once, however often it is asked for."""
    return await _create(request, response, prediction_id, prefer)


@router.get("/{prediction_id}", responses=problems(404, 422, 503))
def get_prediction(request: Request, prediction_id: PredictionId) -> Prediction:
    """Tell how a prediction is."""
    return _prediction(request, _find(request, prediction_id), prediction_id)


@router.post("/{prediction_id}/cancel", responses=problems(403, 404, 422, 503))
def cancel_prediction(request: Request, prediction_id: PredictionId) -> Prediction:
    """Cancel a prediction: at once if it waits, at its next step if it runs; one that is done stays so."""
    service = AppContext.of(request).service
    job = _find(request, prediction_id)
    if not is_final(job):
        try:
            job = service.cancel(job.id)
        except InvalidRequest as error:
            if error.code != "job.already_finished":
                raise
            job = service.get(job.id)
    return _prediction(request, job, prediction_id)


async def _create(
    request: Request, response: Response, prediction_id: str | None, prefer: str | None
) -> Prediction:
    seconds = _patience(prefer)
    body, sent = await read_json_as(request, _parse)
    prediction_id = prediction_id or _id(body)
    fields = dict(sent.fields)
    if webhook := _webhook(request, body, prediction_id):
        fields["webhook"] = webhook
    key = None if prediction_id is None else _key(prediction_id)
    context = AppContext.of(request)
    job = await context.submit(fields, sent.picture, key, sent.others, sent.picture_name)
    if seconds != 0:
        job = await _wait(request, job, seconds)
    if not is_final(job):
        response.status_code = 202
    return await run_sync(_prediction, request, job, prediction_id or job.id)


async def _wait(request: Request, job: Job, seconds: float | None) -> Job:
    """Return the job when it is done, after so many seconds, or when the service ends."""
    context = AppContext.of(request)
    end = None if seconds is None else time.monotonic() + seconds
    async with aclosing(watch(context.service, job.id, context.closing)) as moments:
        async for moment in moments:
            job = moment or job
            if end is not None and time.monotonic() >= end:
                break
            if await request.is_disconnected():
                raise ClientDisconnect
    return job


def _patience(prefer: str | None) -> float | None:
    """Return how many seconds the answer may take by RFC 7240's Prefer; `None`: as long as the job takes."""
    for each in (prefer or "").lower().split(","):
        name, _, value = each.partition(";")[0].strip().partition("=")
        if name == "respond-async":
            return 0.0
        if name == "wait":  # a preference that makes no sense is as if it were not there
            return min(float(value), LONGEST_WAIT) if re.fullmatch(r"\d{1,6}", value) else USUAL_WAIT
    return None


def _parse(body: bytes) -> tuple[JsonObject, Submitted]:
    """Return the whole body, and what its `input` asks for."""
    fields = parse_object(body)
    for name in fields:
        if name not in _FIELDS:
            nearest = (difflib.get_close_matches(name, _FIELDS, 1, 0) or _FIELDS)[0]
            raise InvalidRequest(
                "request.unknown_field", field=shown(name), nearest=nearest, allowed=", ".join(_FIELDS)
            )
    if "input" not in fields:
        raise InvalidRequest("request.missing_field", field="input")
    given = fields.pop("input")
    if not isinstance(given, dict):
        allowed = "an object with image, prompt and other fields of a request"
        raise InvalidRequest("request.invalid", field="input", value=shown(given), allowed=allowed)
    if "webhook" in given:  # ours, which would answer in our words
        allowed = "beside input, as a URL"
        raise InvalidRequest("request.invalid", field="webhook", value="in input", allowed=allowed)
    return fields, take_pictures(given)


def _id(body: JsonObject) -> str | None:
    given = body.get("id")
    if given is None or (isinstance(given, str) and re.fullmatch(ID, given)):
        return given
    allowed = "1 to 100 letters, digits, - and _"
    raise InvalidRequest("request.invalid", field="id", value=shown(given), allowed=allowed)


def _webhook(request: Request, body: JsonObject, prediction_id: str | None) -> PredictionWebhook | None:
    if body.get("webhook") is None:
        return None
    given: JsonObject = {
        "url": body["webhook"],
        "prediction": prediction_id,
        "jobs_url": f"{str(request.base_url).rstrip('/')}{PREFIX}/jobs",
    }
    if body.get("webhook_events_filter") is not None:
        given["events"] = body["webhook_events_filter"]
    try:
        return PredictionWebhook.parse(given)
    except InvalidRequest as error:
        problem = problem_of(error)
        names = {"webhook.url": "webhook", "webhook.events": "webhook_events_filter"}
        field = names.get(problem.field or "", problem.field)
        detail = problem.detail.replace(str(problem.field), str(field))
        raise Refusal(problem.model_copy(update={"field": field, "detail": detail})) from error


def _key(prediction_id: str) -> str:
    """Return the idempotency key: apart from those that clients choose for other addresses."""
    return f"PUT /predictions/{prediction_id}"


def _find(request: Request, prediction_id: str) -> Job:
    service = AppContext.of(request).service
    return service.by_key(_key(prediction_id)) or service.get(prediction_id)


def _prediction(request: Request, job: Job, prediction_id: str) -> Prediction:
    started, ended = job.started_at, job.finished_at
    urls = {
        name: str(request.url_for(f"{name}_prediction", prediction_id=prediction_id))
        for name in ("get", "cancel")
    }
    return Prediction(
        id=prediction_id,
        status=PREDICTION_STATUS[job.status],
        input=job.request,
        output=video_url(job.id, request) if job.status == "succeeded" else None,
        error=None if job.error is None else str(job.error["message"]),
        metrics={} if started is None or ended is None else {"predict_time": ended - started},
        created_at=iso_time(job.created_at),
        started_at=None if started is None else iso_time(started),
        completed_at=None if ended is None else iso_time(ended),
        urls=urls,
    )
