"""The JSON that the API speaks, as models: for OpenAPI, and so that every address says a thing the same way.

Owns names and forms (times in ISO 8601 UTC, absolute URLs). Deliberately does not know where a job is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, cast, get_args

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from i2v.core.engine_spec import Capabilities, EngineSpec, Preset
from i2v.core.enhancement import EnhanceRequest
from i2v.core.extension import ExtendRequest
from i2v.core.messages import hint
from i2v.core.schema import MAX_FRAMES, MAX_INPUTS, MAX_LORAS, GenerationRequest, InputRole
from i2v.core.story import MAX_SCENES, MAX_SECONDS
from i2v.core.webhook import Webhook
from i2v.jobs.model import Filters, Job, JobStatus, JsonObject, Phase, SortOrder, StatusFilter
from i2v.service.job_files import Removal, has_video
from i2v.service.library import Deleted
from i2v.service.planning import PlanSummary
from i2v.web.api.intake import FORM, JSON
from i2v.workers.devices import Activity, DeviceState

JsonSchema = dict[str, object]

MAX_PICTURE_SIDE = 100_000  # pixels
_TEXT: JsonSchema = {"type": "string"}


class JobError(BaseModel):
    """Why a job failed; `code` is stable, and `hint` is what to do where the message does not say it."""

    code: str
    message: str
    hint: str | None

    @classmethod
    def of(cls, error: JsonObject) -> JobError:
        code = str(error["code"])
        return cls(code=code, message=str(error["message"]), hint=hint(code))


class JobBody(BaseModel):
    """A job at one moment."""

    id: str
    status: JobStatus
    phase: Phase = Field(description="where it is; of a finished job, where it was last")
    progress: float = Field(description="of the whole job, 0 to 1")
    eta_seconds: float | None = Field(description="until it is finished; null where it is not known")
    queue_position: int | None = Field(description="jobs before it; null unless it is queued")
    attempt: int = Field(description="0 before the first; interrupted and retried jobs have more than one")
    device: str | None = Field(description="the id of that it runs on, or ran on last")
    error: JobError | None
    notices: list[JsonObject] = Field(
        description="what to know of it so far, {code, params, message}: also each step down to less memory"
    )
    request: JsonObject = Field(description="what was asked for")
    owner: str | None = Field(description="the name of the user who submitted it; null: nobody's")
    batch_id: str | None = Field(description="the batch that it belongs to, if any")
    video_available: bool = Field(
        description="whether its video can be fetched now; false of a finished job: the file was moved or cut"
    )
    result: JsonObject | None = Field(
        description="path, video_url, seed, width, height, generated_width, generated_height, num_frames,"
        " fps, target_fps, num_inference_steps, guidance_scale, prompt, negative_prompt, fit, engine, inputs,"
        " checkpoint, loras, style, story, sound, narration, speed, options, upscaler, output_fps,"
        " interpolation, source, video_fps, video_frames, held_frames (of these, repeats of the last one),"
        " solver, unet_evaluations (what was really run), seconds (by phase),"
        " stages ({name, seconds, bytes, estimated_bytes}: memory at the most, null where not measured),"
        " made_with ({device, dtype, kernels, versions, busy_cpus}; null of an earlier version's clip) and"
        " notices ({code, params, message})"
    )
    picture_name: str = Field(description="of its picture's file, as it was sent; empty: not known")
    starred: bool = Field(description="no limit of the settings ever deletes it")
    tags: list[str] = Field(description="in the order of the alphabet")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deleted_at: datetime | None = Field(description="when it was put into the trash")


class AcceptedBody(JobBody):
    """A job that was just put into the queue."""

    expected_start_seconds: float | None = Field(description="until it starts; null where it is not known")


class FetchBody(BaseModel):
    """Weights that a machine gets now."""

    engine: str
    done_bytes: int
    total_bytes: int = Field(description="0 until it is known")


class DeviceBody(BaseModel):
    """A worker's device as it is now."""

    id: str = Field(description="what a request names as device; empty as long as it is not known")
    worker: int = Field(description="which of the device's workers this is, from 1")
    type: Literal["cpu", "cuda"] | None
    name: str | None
    memory_bytes: int | None
    state: Activity = Field(
        description="ready: takes the next job; set_aside: did not start several times, is tried again later;"
        " leaving: its machine takes no more"
    )
    job_id: str | None = Field(description="what it is at")
    problem: str | None = Field(description="why it takes no job now")
    models: list[str] | None = Field(description="whose weights its machine has; null: the server's own")
    fetch: FetchBody | None = Field(description="the weights that its machine gets now")

    @classmethod
    def of(cls, state: DeviceState) -> DeviceBody:
        info = state.info
        return cls(
            id=state.id,
            worker=state.number,
            type=None if info is None else info.type,
            name=None if info is None else info.name,
            memory_bytes=None if info is None else info.total_memory,
            state=state.activity,
            job_id=state.job_id,
            problem=None if state.problem is None else state.problem.message,
            models=None if state.models is None else list(state.models),
            fetch=None
            if state.fetch is None
            else FetchBody(
                engine=state.fetch.engine, done_bytes=state.fetch.done, total_bytes=state.fetch.total
            ),
        )


class DeletedBody(BaseModel):
    """A job that is gone, or in the trash."""

    id: str
    deleted: Literal[True] = True
    video: Removal | Literal["none"] = Field(
        description="removed; missing: it was gone already; kept: something that the job did not make has its"
        " name; none: the job had not succeeded"
    )
    path: str = Field(description="where the video was, or would have been")
    kept_until: datetime | None = Field(description="until then it can be restored; null: it is gone")

    @classmethod
    def of(cls, deleted: Deleted) -> DeletedBody:
        until = None if deleted.kept_until is None else _time(deleted.kept_until)
        return cls(id=deleted.job.id, video=deleted.video, path=deleted.job.output, kept_until=until)


class PageBody(BaseModel):
    """Some jobs in the order that was asked for."""

    jobs: list[JobBody]
    next_cursor: str | None = Field(description="asks for those that follow; null where there are none")


def _iso(value: object) -> object:
    """Refuse what pydantic takes for seconds since 1970: OpenAPI's date-time is a date and a time."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        raise ValueError("a date and a time with a time zone, such as 2026-01-31T12:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_iso)]


class Listing(BaseModel):
    """Which jobs are asked for."""

    model_config = ConfigDict(extra="forbid")

    status: StatusFilter | None = None
    search: str = Field("", description="part of the prompt; a to z match in either case")
    starred: bool = Field(False, description="those with a star alone")
    engine: str = ""
    owner: str = Field("", description="the name of the user who submitted it")
    tag: str = Field("", description="those that have it")
    since: Time | None = Field(None, description="submitted then or later; with a time zone")
    until: Time | None = Field(None, description="submitted then or earlier")
    deleted: bool = Field(False, description="those in the trash alone")
    order: SortOrder = Field("newest", description="by submission; starred: those with a star first")
    cursor: str | None = Field(None, description="next_cursor of the page before, in the same order")
    limit: int = Field(50, ge=1, le=200)

    @property
    def filters(self) -> Filters:
        since, until = (None if each is None else each.timestamp() for each in (self.since, self.until))
        others = (self.deleted, self.order, self.owner, self.tag)
        return Filters(self.starred, self.engine, since, until, *others)


class EngineBody(BaseModel):
    """What jobs can ask for by the name of their `engine`."""

    name: str
    title: str
    available: bool = Field(description="everything that it needs is on this machine")
    needs_weights: bool = Field(description="false: it works without a model, and nothing is downloaded")
    embedded: bool
    chosen_by_auto: bool = Field(description="engine=auto may mean it; else it runs only by its name")
    capabilities: Capabilities = Field(
        description="what a request may ask of it; a field that it has no use for is refused (422). prompt:"
        " required, optional or none. num_frames: from least to most in steps, or one of only, where that is"
        " not empty. fps: least and most. largest_side: of the video, in pixels"
    )
    options: JsonObject = Field(description="the JSON schema of options, which only this engine has")
    multiple: int
    native_area_side: int | None
    trained_frames: tuple[int, int]
    trained_fps: tuple[int, int]
    max_prompt_tokens: int
    requires_prompt: bool
    default_negative_prompt: str

    @classmethod
    def of(cls, spec: EngineSpec, available: bool) -> EngineBody:
        own = {"available", "needs_weights", "chosen_by_auto", "options", "requires_prompt"}
        return cls(
            available=available,
            needs_weights=bool(spec.files),
            chosen_by_auto=spec.rank is not None,
            options=spec.options_model.model_json_schema(),
            requires_prompt=spec.capabilities.prompt == "required",
            **{name: getattr(spec, name) for name in cls.model_fields.keys() - own},
        )


class EnginesBody(BaseModel):
    engines: list[EngineBody]


class PresetsBody(BaseModel):
    presets: dict[str, dict[str, Preset]] = Field(description="by engine and name")


class PlanBody(BaseModel):
    """What a request would take here; null: not known yet."""

    fits: bool | None
    bytes: int | None
    seconds: float | None
    options: JsonObject = Field(description="what would be run, every gap filled")
    message: str

    @classmethod
    def of(cls, plan: PlanSummary) -> PlanBody:
        return cls(
            fits=plan.fits, bytes=plan.bytes, seconds=plan.seconds, options=plan.options, message=plan.message
        )


class PredictBody(BaseModel):
    """The answer to the first published client."""

    data: Annotated[list[str], Field(description="one element: the video's URL")]


class GenerateBody(BaseModel):
    """The answer to the second published client."""

    output_path: str
    video_url: str
    job_id: str


def video_url(job_id: str, request: Request) -> str:
    """Return where the video is, as the client that sent `request` reaches us."""
    return str(request.url_for("get_video", job_id=job_id))


def job_body(job: Job, request: Request) -> JobBody:
    error = job.error
    return JobBody(
        id=job.id,
        status=job.status,
        phase=job.phase,
        progress=job.progress,
        eta_seconds=job.eta_seconds,
        queue_position=job.queue_position,
        attempt=job.attempt,
        device=job.device,
        error=None if error is None else JobError.of(error),
        notices=[notice.to_dict() for notice in job.notices],
        request=job.request,
        owner=job.user,
        batch_id=job.batch,
        video_available=has_video(job),
        result=None
        if job.result is None
        else {**job.result.to_dict(), "video_url": video_url(job.id, request)},
        picture_name=job.picture_name,
        starred=job.starred,
        tags=list(job.tags),
        created_at=_time(job.created_at),
        started_at=None if job.started_at is None else _time(job.started_at),
        finished_at=None if job.finished_at is None else _time(job.finished_at),
        deleted_at=None if job.deleted_at is None else _time(job.deleted_at),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_STORY: JsonSchema = {
    "type": "array",
    "maxItems": MAX_SCENES,
    "items": {
        "type": "object",
        "required": ["seconds"],
        "additionalProperties": False,
        "properties": {
            "seconds": {"type": "number", "minimum": 0.1, "maximum": MAX_SECONDS},
            "prompt": {"type": "string", "default": "", "description": "empty: that of the request"},
        },
    },
}

_LORAS: JsonSchema = {
    "type": "array",
    "maxItems": MAX_LORAS,
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "one of GET /api/v1/loras"},
            "strength": {"type": "number", "minimum": -4, "maximum": 4, "default": 1},
            "strength_2": {
                "anyOf": [{"type": "number", "minimum": -4, "maximum": 4}, {"type": "null"}],
                "description": "in the second expert of a model that has two; without one, as the file's name"
                " says, else as in the first",
            },
        },
    },
}


# Fields whose schema says more than the one that pydantic makes.
_LISTS: dict[str, JsonSchema] = {"loras": _LORAS, "story": _STORY}


def body_schema(
    required: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema] | None = None
) -> JsonSchema:
    """Return the schema of a JSON body: the fields of a request, and some more."""
    schema = GenerationRequest.model_json_schema()
    known = schema["properties"]
    lists = {name: {"description": known[name]["description"], **each} for name, each in _LISTS.items()}
    schema["$defs"].pop("Lora")  # its own stands in their place
    if "sound_file" not in (optional or {}):  # without the file, nothing can be said of it
        del known["sound"]
    return {
        **schema,
        "properties": {**required, **known, **lists, **(optional or {})},
        "required": [*required, *schema.get("required", [])],
    }


def form_schema(
    required: Mapping[str, JsonSchema], optional: Mapping[str, JsonSchema] | None = None
) -> JsonSchema:
    """Return the same for a form, which has no null (pydantic puts it last) and no objects but as text."""
    schema = body_schema(required, optional)
    fields = cast("dict[str, dict[str, list[JsonSchema]]]", schema["properties"])
    properties: JsonSchema = {name: field.get("anyOf", [field])[0] for name, field in fields.items()}
    options = {**_TEXT, "contentMediaType": "application/json"}
    options["description"] = f"a JSON object, as text: {fields['options']['description']}"
    properties["crop"] = {**_TEXT, "description": f"{fields['crop']['description']}: 0.1,0,0.9,1 or 16:9"}
    scenes = f"{fields['story']['description']}: seconds: prompt, one a line"
    properties["story"] = {**_TEXT, "description": scenes}
    loras = f"{fields['loras']['description']}: ink:0.8, soft (two experts: ink:0.8:0.5)"
    properties["loras"] = {**_TEXT, "description": loras}
    if "sound" in fields:
        sound = f"a JSON object, as text: {fields['sound']['description']}"
        properties["sound"] = {**_TEXT, "contentMediaType": "application/json", "description": sound}
    narration = f"{fields['narration']['description']}, or a JSON object as text"
    properties["narration"] = {**_TEXT, "description": narration}
    del properties["inputs"]  # a form has each picture as a file
    return {**schema, "properties": {**properties, "options": options}}


_SIDE: JsonSchema = {"type": "integer", "minimum": 1, "maximum": MAX_PICTURE_SIDE}

IMAGE_FILE: JsonSchema = {"type": "string", "format": "binary", "description": "the picture's file"}
IMAGE_TEXT: JsonSchema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "the picture's file; data:image/png;base64, may stand before it. Either alphabet of"
    " base64, with or without padding and line breaks",
}
_IMAGE_NAME: JsonSchema = {**_TEXT, "description": "of its file, for people and for the video's name"}
WEBHOOK: JsonSchema = {
    **Webhook.model_json_schema(),
    "description": "who is told what becomes of this job, besides those in the server's settings",
}
WEBHOOK_TEXT: JsonSchema = {
    **_TEXT,
    "contentMediaType": "application/json",
    "description": f"a JSON object of url, events and secret, as text: {WEBHOOK['description']}",
}
_SOUND_WORDS = "a sound that goes beside the frames: MP3, M4A, WAV, FLAC or Ogg"
SOUND_TEXT: JsonSchema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": f"{_SOUND_WORDS}, as base64",
}
_OTHER_ROLES = [role for role in get_args(InputRole) if role != "image"]
_OTHER_FILES: dict[str, JsonSchema] = {
    "last_image": {**IMAGE_FILE, "description": "the file of the last_image, for models that take one"},
    "motion_mask": {
        **IMAGE_FILE,
        "description": "the file of the motion_mask, for models that take one: white where the model acts,"
        " black where only the camera moves",
    },
    "style_image": {
        **IMAGE_FILE,
        "description": "the file of the style_image, for models that take one: a picture whose look the clip"
        " is to have",
    },
    "sound_file": {**IMAGE_FILE, "description": _SOUND_WORDS},
}
_KEYFRAME_FILES: JsonSchema = {
    "^keyframe_[1-9][0-9]{0,3}$": {
        **IMAGE_FILE,
        "description": "the file of a keyframe by the number of its frame, for models that take some",
    }
}
INPUTS: JsonSchema = {
    "type": "array",
    "maxItems": MAX_INPUTS,
    "description": "pictures besides image, for models that take more",
    "items": {
        "type": "object",
        "required": ["role", "image"],
        "additionalProperties": False,
        "properties": {
            "role": {"type": "string", "enum": _OTHER_ROLES},
            "frame": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_FRAMES - 1,
                "description": "of a keyframe, and only there: the frame that it is, counted from 0",
            },
            "image": IMAGE_TEXT,
        },
    },
}
PICTURE_SIZE: JsonSchema = {
    "type": "array",
    "items": _SIDE,
    "minItems": 2,
    "maxItems": 2,
    "description": "[width, height] of the picture in pixels; [512, 512] if it is not given",
}

# What OpenAPI is told of bodies that are read without FastAPI, and of the stream of events.
SUBMISSION: JsonSchema = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                **form_schema({"image": IMAGE_FILE}, {**_OTHER_FILES, "webhook": WEBHOOK_TEXT}),
                "patternProperties": _KEYFRAME_FILES,
            }
        },
        JSON: {
            "schema": body_schema(
                {"image": IMAGE_TEXT},
                {
                    "image_name": _IMAGE_NAME,
                    "inputs": INPUTS,
                    "sound_file": SOUND_TEXT,
                    "webhook": WEBHOOK,
                },
            )
        },
    },
}
PLANNED: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": body_schema({}, {"picture_size": PICTURE_SIZE})}},
}
ENHANCEMENT: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": EnhanceRequest.model_json_schema()}},
}
EXTENSION: JsonSchema = {
    "required": True,
    "content": {JSON: {"schema": ExtendRequest.model_json_schema()}},
}
EVENT: JsonSchema = {"type": "object", "properties": {"event": _TEXT, "id": _TEXT, "data": _TEXT}}
