"""The two HTTP clients that were published with the product, as they stand.

Each sends one request, waits until the video is done, and prints the text of whatever is not status 200.
Their own names for things (`steps`, the resolution as a number) live only here. If the connection drops
meanwhile, the job goes on and is in the list.
"""

from __future__ import annotations

from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import Job, JsonObject
from i2v.web.api.base64_picture import decode_base64
from i2v.web.api.events import watch
from i2v.web.api.intake import FORM, JSON, Submitted, read_form, read_json
from i2v.web.api.request_schemas import IMAGE_FILE, JsonSchema, form_schema
from i2v.web.api.schemas import GenerateBody, PredictBody, video_url
from i2v.web.context import AppContext
from i2v.web.problems import Problem, Refusal, problem_of, problem_of_job, problems

# What the first client sends, in this order, and how the request calls it.
POSITIONS = ("image", "prompt", "resolution", "num_frames", "fps", "num_inference_steps", "guidance_scale")
SHORT_NAMES = {"steps": "num_inference_steps"}

router = APIRouter(tags=["published clients"])

_PREDICT: JsonSchema = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": True,
    "properties": {
        "data": {
            "type": "array",
            "minItems": len(POSITIONS),
            "maxItems": len(POSITIONS),
            "items": {},
            "description": f"{', '.join(POSITIONS)}; the image as {{name, data}}, data being its file as"
            " data:image/png;base64,..., the resolution as 256, 512, 768 or 1024",
        }
    },
}
_STEPS: JsonSchema = {"type": "integer", "minimum": 1, "maximum": 200}
_GENERATE = form_schema({"image": IMAGE_FILE}, {"steps": _STEPS})
_PROBLEMS = problems(403, 409, 413, 415, 422, 429, 500, 503, 507)


@router.post(
    "/api/predict",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": _PREDICT}}}},
)
@router.post("/api/predict/", include_in_schema=False)
async def predict(request: Request) -> PredictBody:
    """Make a video and return its URL when it is done."""
    values = _positional(await read_json(request))
    name, picture = values.pop("image_name"), decode_base64(values.pop("image"))
    job = await _finished(request, Submitted(values, picture, picture_name=str(name)))
    return PredictBody(data=[video_url(job.id, request)])


@router.post(
    "/generate",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"required": True, "content": {FORM: {"schema": _GENERATE}}}},
)
@router.post("/generate/", include_in_schema=False)
async def generate(request: Request) -> GenerateBody:
    """Make a video and return its path when it is done."""
    sent = await read_form(request)
    job = await _finished(request, sent)
    return GenerateBody(output_path=job.output, video_url=video_url(job.id, request), job_id=job.id)


def _positional(body: JsonObject) -> JsonObject:
    """Return the values of the first client by name."""
    data = body.get("data")
    if not isinstance(data, list) or len(data) != len(POSITIONS):
        value = f"a list of {len(data)}" if isinstance(data, list) else shown(data)
        allowed = f"a list of {len(POSITIONS)}: {', '.join(POSITIONS)}"
        raise InvalidRequest("request.invalid", field="data", value=value, allowed=allowed)
    values = dict(zip(POSITIONS, data, strict=True))
    image = values["image"]
    if not isinstance(image, dict):
        return {**values, "image_name": ""}
    return {**values, "image": image.get("data"), "image_name": image.get("name") or ""}


async def _finished(request: Request, sent: Submitted) -> Job:
    """Submit a job and return it when it has succeeded; raise what stopped it."""
    context = AppContext.of(request)
    job = await _submit(context, sent)
    async with aclosing(watch(context.service, job.id, context.closing)) as moments:
        async for moment in moments:
            job = moment or job
            if await request.is_disconnected():
                raise ClientDisconnect
    if job.status == "succeeded":
        return job
    if job.status == "cancelled":
        raise InvalidRequest("job.cancelled")
    if job.error is not None:
        raise Refusal(problem_of_job(job.error))
    raise I2VError("server.stopping", id=job.id)


async def _submit(context: AppContext, sent: Submitted) -> Job:
    values = sent.fields
    fields = {SHORT_NAMES.get(name, name): value for name, value in values.items()}
    if len(fields) < len(values):
        raise InvalidRequest("http.repeated_field", field="steps")
    if "resolution" in fields:
        fields["resolution"] = _resolution(fields["resolution"])
    try:
        return await context.submit(fields, sent.picture, others=sent.others, picture_name=sent.picture_name)
    except InvalidRequest as error:
        raise Refusal(_in_their_words(problem_of(error), values)) from error


def _resolution(value: object) -> object:
    """Return 512 as "512p"; what is no whole number stays as it is, for the validator to refuse."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal()
    return f"{value}p" if is_number or is_digits else value


def _in_their_words(problem: Problem, values: JsonObject) -> Problem:
    """Return the complaint about the field by the name that the client gave it."""
    for short, name in SHORT_NAMES.items():
        if problem.field == name and short in values:
            return problem.model_copy(update={"field": short, "detail": problem.detail.replace(name, short)})
    return problem
