"""The JSON that the API speaks, as models: for OpenAPI, and so that every address says a thing the same way.

Owns names and forms (times in ISO 8601 UTC, absolute URLs). Deliberately does not know where a job is kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from i2v.core.engine_spec import Capabilities, EngineSpec, Preset
from i2v.core.messages import hint
from i2v.jobs.model import Filters, Job, JobStatus, JsonObject, Phase, SortOrder, StatusFilter
from i2v.service.job_files import Removal, has_video
from i2v.service.library import Deleted
from i2v.service.planning import PlanSummary
from i2v.workers.devices import Activity, DeviceState


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
