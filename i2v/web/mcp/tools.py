"""The tools: what each is called, takes and returns, and what agents are told of it, by which they choose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel

from i2v.web.api.request_schemas import INPUTS, PICTURE_SIZE, JsonSchema, body_schema
from i2v.web.api.schemas import EnginesBody, PlanBody
from i2v.web.mcp import calls
from i2v.web.mcp.calls import LONGEST_WAIT, USUAL_WAIT, Call, Clip, JobState, UploadOffer
from i2v.web.mcp.pictures import PICTURE


@dataclass(frozen=True)
class Tool:
    """`answer` is what `run` returns; `changes`: whether it does more than look."""

    name: str
    title: str
    description: str
    arguments: JsonSchema
    answer: type[BaseModel]
    changes: bool
    run: Callable[[Call], Awaitable[BaseModel]]


_NOTHING: JsonSchema = {"type": "object", "properties": {}, "additionalProperties": False}
_JOB_ID: JsonSchema = {"type": "string", "description": "as generate returned it"}


def _waiting(usual: int) -> JsonSchema:
    return {
        "type": "number",
        "minimum": 0,
        "maximum": LONGEST_WAIT,
        "default": usual,
        "description": "wait so long for the end, and report progress; then return how it is",
    }


def _of_a_job(**more: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "required": ["job_id"],
        "properties": {"job_id": _JOB_ID, **more},
        "additionalProperties": False,
    }


def _with_pictures(inputs: JsonSchema) -> JsonSchema:
    """Return the schema of `inputs` with pictures as tools get them."""
    item = dict(inputs["items"])  # type: ignore[call-overload]
    return {**inputs, "items": {**item, "properties": {**item["properties"], "image": PICTURE}}}


_GENERATE = body_schema(
    {"image": PICTURE}, {"inputs": _with_pictures(INPUTS), "wait_seconds": _waiting(USUAL_WAIT)}
)

TOOLS = (
    Tool(
        "generate",
        "Make a video",
        "Make a short video of a picture and a sentence that says what moves. Returns the job: once its"
        " status is succeeded, call fetch; while it is queued or running, call status. It takes seconds to"
        " many minutes; plan tells how long. Leave out what you do not need: the preset settles it.",
        _GENERATE,
        JobState,
        True,
        calls.generate,
    ),
    Tool(
        "plan",
        "Plan a video",
        "Tell whether a video would fit this machine, how long it would take and with which settings, without"
        " making it. Takes the fields of generate without pictures, and the picture's size.",
        body_schema({}, {"picture_size": PICTURE_SIZE}),
        PlanBody,
        False,
        calls.plan,
    ),
    Tool(
        "status",
        "Look at a job",
        "Tell how a job is; with wait_seconds, wait for its end that long and report progress.",
        _of_a_job(wait_seconds=_waiting(0)),
        JobState,
        False,
        calls.status,
    ),
    Tool(
        "cancel",
        "Cancel a job",
        "Cancel a job: at once if it waits, at its next step if it runs.",
        _of_a_job(),
        JobState,
        True,
        calls.cancel,
    ),
    Tool(
        "fetch",
        "Fetch a video",
        "Return an address from which the video of a job that has succeeded can be downloaded once, as MP4.",
        _of_a_job(),
        Clip,
        False,
        calls.fetch,
    ),
    Tool(
        "engines",
        "List the models",
        "List the models: which are installed, what each takes, and the options that only it has.",
        _NOTHING,
        EnginesBody,
        False,
        calls.engines,
    ),
    Tool(
        "upload",
        "Send a picture",
        "Return an address to which a picture's file can be sent with HTTP PUT, once, for example with"
        " curl -T photo.jpg URL. Then give generate its upload_id as the image.",
        _NOTHING,
        UploadOffer,
        True,
        calls.upload,
    ),
)  # fmt: skip
