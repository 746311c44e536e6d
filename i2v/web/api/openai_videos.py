"""OpenAI's videos API over our jobs: /v1/videos and /v1/models, as its Python client and its kin speak it.

Owns how a video of theirs is a job of ours, and back (https://platform.openai.com/docs/api-reference/videos).
A job is durable and the same as any other: it is on the page too, and /api/v1 knows it by the same id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import Job, JobStatus, JsonObject
from i2v.web.api.base64_picture import decode_base64
from i2v.web.api.files import get_poster, get_video
from i2v.web.api.intake import FORM, JSON, read_fields, read_json
from i2v.web.api.request_schemas import (
    IMAGE_FILE,
    WEBHOOK,
    WEBHOOK_TEXT,
    JsonSchema,
    body_schema,
    form_schema,
)
from i2v.web.context import AppContext
from i2v.web.problems import Problem, Refusal, openai_problems, problem_of
from i2v.weights import is_available

REFERENCE = "input_reference"
MAX_EXPONENT = 6
POLL_HEADERS = {"openai-poll-after-ms": "1000"}
_STATUS: dict[JobStatus, Literal["queued", "in_progress", "completed", "failed"]] = {
    "queued": "queued", "running": "in_progress", "succeeded": "completed",
    "failed": "failed", "cancelled": "failed",
}  # fmt: skip
_OUR_NAMES = {"model": "engine", REFERENCE: "image"}  # theirs: ours
_IGNORED = ("user",)  # nothing here reads it

router = APIRouter(prefix="/v1", tags=["OpenAI videos"])


class VideoError(BaseModel):
    code: str
    message: str


class Video(BaseModel):
    """A job in their words. `seconds` is a text; times are seconds since 1970."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"] = Field(
        description="a cancelled job is failed, with the code job.cancelled"
    )
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    error: VideoError | None
    prompt: str | None
    remixed_from_video_id: str | None = Field(
        default=None, description="said once, in the answer to the remix"
    )
    seconds: str
    size: str


class VideoList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(BaseModel):
    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "i2v"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]


_REFERENCE: JsonSchema = {
    "description": "the picture: {image_url}, a data URL, or such a URL itself",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["image_url"], "properties": {"image_url": {"type": "string"}}},
    ],
}
_THEIRS: dict[str, JsonSchema] = {
    "model": {"type": "string", "description": "one of /v1/models; left out: the one chosen by itself"},
    "seconds": {"type": ["string", "number"], "description": "length of the clip"},
    "size": {"type": "string", "pattern": "^[0-9]+x[0-9]+$"},
    "enable_frame_interpolation": {"type": "boolean", "description": "vLLM-Omni's: a higher output_fps"},
    "frame_interpolation_exp": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_EXPONENT,
        "description": "fps times 2 to the power of it; 1 if left out",
    },
}
_CREATE: JsonSchema = {
    "required": True,
    "content": {
        FORM: {"schema": form_schema({REFERENCE: IMAGE_FILE}, {**_THEIRS, "webhook": WEBHOOK_TEXT})},
        JSON: {"schema": body_schema({REFERENCE: _REFERENCE}, {**_THEIRS, "webhook": WEBHOOK})},
    },
}


# --- videos


@router.post(
    "/videos",
    responses=openai_problems(403, 409, 413, 415, 422, 429, 503, 507),
    openapi_extra={"requestBody": _CREATE},
)
async def create_video(request: Request) -> Video:
    """Put a job into the queue. All fields of /api/v1/jobs are known besides OpenAI's own."""
    context = AppContext.of(request)
    try:
        fields, picture = await _read_creation(request)
        asks = fields.keys() & {"seconds", "enable_frame_interpolation"}
        spec = await context.engine(str(fields.get("engine", "auto"))) if asks else None
        return _video(await context.submit(_in_our_words(fields, spec, context), picture))
    except InvalidRequest as error:
        raise Refusal(_in_their_words(problem_of(error))) from error


@router.get("/videos", responses=openai_problems(404, 422, 503))
async def list_videos(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> VideoList:
    """List videos, the newest first unless `order` is asc, from behind the one with the id `after`."""
    service = AppContext.of(request).service
    jobs = await run_sync(lambda: service.jobs_after(after, limit + 1, oldest_first=order == "asc"))
    data = [_video(job) for job in jobs[:limit]]
    return VideoList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(jobs) > limit,
    )


@router.get("/videos/{video_id}", responses=openai_problems(404, 503))
def retrieve_video(request: Request, response: Response, video_id: str) -> Video:
    """Tell how a video is."""
    response.headers.update(POLL_HEADERS)
    return _video(AppContext.of(request).service.get(video_id))


@router.delete("/videos/{video_id}", responses=openai_problems(403, 404, 409, 503))
def delete_video(request: Request, video_id: str) -> DeletedVideo:
    """Delete a video that is finished or still waits. One that is being made has to be cancelled first."""
    service = AppContext.of(request).service
    if service.get(video_id).status == "queued":
        service.cancel(video_id)
    return DeletedVideo(id=service.delete(video_id).job.id)


@router.get(
    "/videos/{video_id}/content", responses=openai_problems(404, 410, 422, 503), response_class=Response
)
async def download_content(
    request: Request, video_id: str, variant: Literal["video", "thumbnail"] = "video"
) -> Response:
    """Return the MP4, or its first frame as a small JPEG. There are no sprite sheets."""
    if variant == "thumbnail":
        return await get_poster(request, video_id)
    return await run_sync(get_video, request, video_id)


@router.post(
    "/videos/{video_id}/remix", responses=openai_problems(403, 404, 409, 410, 413, 415, 422, 429, 503, 507)
)
async def remix_video(request: Request, video_id: str) -> Video:
    """Make the clip again from the same picture with another prompt."""
    context = AppContext.of(request)
    fields = await read_json(request)
    made = await context.submit_again(video_id, fields)
    return _video(made).model_copy(update={"remixed_from_video_id": video_id})


# --- models


@router.get("/models")
def list_openai_models(request: Request) -> ModelList:
    """List the models that can run here."""
    context = AppContext.of(request)
    specs = context.service.engines.values()
    return ModelList(
        data=[ModelEntry(id=spec.name) for spec in specs if is_available(spec, context.settings.models)]
    )


@router.get("/models/{model}", responses=openai_problems(404))
def retrieve_model(request: Request, model: str) -> ModelEntry:
    """Tell whether a model can run here."""
    known = list_openai_models(request).data
    for entry in known:
        if entry.id == model:
            return entry
    allowed = ", ".join(entry.id for entry in known)
    error = InvalidRequest("request.unknown_engine", value=shown(model), allowed=allowed)
    raise Refusal(_in_their_words(problem_of(error)).model_copy(update={"status": 404}))


# --- from theirs to ours and back


async def _read_creation(request: Request) -> tuple[JsonObject, bytes]:
    """Return the fields, `engine` for their `model`, and the picture."""
    fields, picture = await read_fields(request, REFERENCE)
    if picture is None:
        picture = _reference(fields)
    for ignored in _IGNORED:
        fields.pop(ignored, None)
    if "model" in fields:
        fields["engine"] = fields.pop("model")
    return fields, picture


def _reference(fields: JsonObject) -> bytes:
    """Take the picture out of `fields`: a data URL, by itself, in an object, or as a form writes that."""
    given = fields.pop(REFERENCE, None)
    if given is None:
        given = fields.pop(f"{REFERENCE}[image_url]", None)
    if isinstance(given, Mapping):
        given = given.get("image_url")
    if given is None:
        raise InvalidRequest("request.missing_field", field=REFERENCE)
    return decode_base64(given, REFERENCE)


def _in_our_words(fields: JsonObject, spec: EngineSpec | None, context: AppContext) -> JsonObject:
    """Return the fields of a `GenerationRequest`; `spec` is the engine of a request that depends on it."""
    words = dict(fields)
    if (size := words.pop("size", None)) is not None:
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(size))
        if match is None:
            allowed = "WIDTHxHEIGHT in pixels, e.g. 1280x720"
            raise InvalidRequest("request.invalid", field="size", value=shown(size), allowed=allowed)
        words |= {"width": int(match[1]), "height": int(match[2])}
    if spec is not None:
        words |= _interpolation(words, spec, context)
    if spec is not None and "seconds" in words:
        if "num_frames" in words:
            allowed = "left out where num_frames is given"
            value = shown(words["seconds"])
            raise InvalidRequest("request.invalid", field="seconds", value=value, allowed=allowed)
        fps = words.get("fps", context.service.presets(spec)["standard"].fps)
        frames = _positive(words.pop("seconds"), "seconds") * _positive(fps, "fps")
        can = spec.capabilities.num_frames
        if not can.least <= round(frames) <= can.most and not can.only:
            allowed = f"as long as {can} at {fps} fps"
            raise InvalidRequest(
                "request.invalid", field="seconds", value=shown(fields["seconds"]), allowed=allowed
            )
        words["num_frames"] = can.nearest(round(frames))
    return words


def _interpolation(words: JsonObject, spec: EngineSpec, context: AppContext) -> JsonObject:
    """Take vLLM-Omni's words for frames in between out of `words`, and return ours."""
    wanted = words.pop("enable_frame_interpolation", None)
    exponent = words.pop("frame_interpolation_exp", 1)
    if str(wanted).lower() not in ("true", "false", "none"):
        field, allowed = "enable_frame_interpolation", "true or false"
        raise InvalidRequest("request.invalid", field=field, value=shown(wanted), allowed=allowed)
    if str(wanted).lower() != "true" or "output_fps" in words:
        return {}
    if isinstance(exponent, bool) or str(exponent) not in map(str, range(1, MAX_EXPONENT + 1)):
        field, allowed = "frame_interpolation_exp", f"a whole number from 1 to {MAX_EXPONENT}"
        raise InvalidRequest("request.invalid", field=field, value=shown(exponent), allowed=allowed)
    preset = str(words.get("preset", "standard"))
    presets = context.service.presets(spec)
    fps = words.get("fps", presets.get(preset, presets["standard"]).fps)
    return {"output_fps": round(_positive(fps, "fps")) * 2 ** int(str(exponent))}


def _in_their_words(problem: Problem) -> Problem:
    """Return the complaint about a field by the name that the client gave it."""
    for theirs, ours in _OUR_NAMES.items():
        if problem.field == ours:
            detail = problem.detail.replace(f"Set {ours} ", f"Set {theirs} ")
            return problem.model_copy(update={"field": theirs, "detail": detail})
    return problem


def _positive(value: object, field: str) -> float:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text) or not float(text):
        raise InvalidRequest("request.invalid", field=field, value=shown(value), allowed="a positive number")
    return float(text)


def _video(job: Job) -> Video:
    made = job.generation
    error = None
    if job.error is not None:
        error = VideoError(code=str(job.error["code"]), message=str(job.error["message"]))
    elif job.status == "cancelled":
        cancelled = InvalidRequest("job.cancelled")
        error = VideoError(code=cancelled.code, message=cancelled.message)
    finished = job.finished_at if job.status == "succeeded" else None
    return Video(
        id=job.id,
        model=made.engine if made else "",
        status=_STATUS[job.status],
        progress=round(100 * job.progress),
        created_at=int(job.created_at),
        completed_at=None if finished is None else int(finished),
        error=error,
        prompt=made.prompt if made else None,
        seconds=f"{job.video_frames / made.video_fps:g}" if made else "0",
        size=f"{made.width}x{made.height}" if made else "",
    )
