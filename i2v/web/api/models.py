"""The REST API's part about models: which are there, getting one, and how that is going."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from i2v.core.errors import I2VError
from i2v.core.messages import hint
from i2v.service.models import Model, State, Task, TaskKind
from i2v.web.api.schemas import JobError
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems
from i2v.weights.conversion import ConversionPlan
from i2v.weights.download import DownloadPlan, PartPlan
from i2v.weights.folders import Origin
from i2v.weights.licences import licence_url
from i2v.weights.progress import TransferProgress

router = APIRouter(prefix=f"{PREFIX}/models", tags=["models"])


class DownloadRequest(BaseModel):
    """What a download may be given; nothing need be."""

    model_config = ConfigDict(extra="forbid")

    accept_licence: bool = Field(
        default=False, description="a person has accepted the licences of download.parts; recorded once"
    )


class ConversionRequest(BaseModel):
    """What a conversion may be given; nothing need be."""

    model_config = ConfigDict(extra="forbid")

    remove_originals: bool = Field(
        default=False, description="delete them, once the new file was compared with them"
    )


class ConversionBody(BaseModel):
    """What storing float32 weights in bfloat16 would be. Bytes."""

    needed: int = Field(description="more while it runs")
    saved: int = Field(description="less in the end, if the originals are removed")
    free: int = Field(description="on the disk")


class PartBody(BaseModel):
    """One of the repositories that make the model. Bytes."""

    repo: str
    revision: str
    size: int
    licence: str
    licence_url: str
    must_accept: bool = Field(description="the licence must be accepted before the download, and nobody has")
    is_here: bool
    copy_at: str | None = Field(description="where it is already; it would be linked to, and not fetched")


class DownloadBody(BaseModel):
    """What a download would be, said without asking the network. Bytes."""

    size: int = Field(description="of what the engine reads, about")
    begun: int = Field(description="of it that is on this machine, e.g. since an earlier download")
    free: int = Field(description="on the disk that it goes to")
    target: str
    licence: str
    origin: str
    parts: list[PartBody]
    sources: list[str] = Field(description="in the order in which they are asked; none where we are offline")


class TaskBody(BaseModel):
    """A download, a check or a conversion that is under way, or the last one since the service began."""

    deed: TaskKind
    is_cancelling: bool
    progress: TransferProgress | None = Field(description="bytes, bytes a second, and eta in seconds")
    message: str | None = Field(description="what came of it; null as long as it is under way")
    error: JobError | None


class ModelBody(BaseModel):
    """A model and its folder."""

    name: str
    title: str
    state: State
    path: str
    origin: Origin = Field(description="whose the folder is: only one that was downloaded is changed")
    missing: str | None = Field(description="the first file that is not there")
    bytes: int
    checked: str | None = Field(description="what the files were held to; null where that is not known")
    download: DownloadBody | None = Field(description="null for a part of i2v")
    task: TaskBody | None
    conversion: ConversionBody | None = Field(description="null where nothing of it is in float32")


class ModelsBody(BaseModel):
    models: list[ModelBody]


@router.get("")
def list_models(request: Request) -> ModelsBody:
    """List the models: where each is, how its files were checked, what a download would be or how it is."""
    return ModelsBody(models=[_model(model) for model in AppContext.of(request).service.models.all()])


@router.get("/{name}", responses=problems(422))
def get_model(request: Request, name: str) -> ModelBody:
    """Tell how a model that can be downloaded is."""
    return _model(AppContext.of(request).service.models.get(name))


@router.post("/{name}/download", status_code=202, responses=problems(403, 409, 422))
def download_model(request: Request, name: str, asked: DownloadRequest | None = None) -> ModelBody:
    """Begin to fetch a model, or go on with it, until it is done or cancelled, or the service ends."""
    accepts = asked is not None and asked.accept_licence
    return _model(AppContext.of(request).service.models.download(name, accepts))


@router.post("/{name}/verify", status_code=202, responses=problems(403, 409, 422))
def verify_model(request: Request, name: str) -> ModelBody:
    """Begin to compare each file with what its hub tells."""
    return _model(AppContext.of(request).service.models.verify(name))


@router.post("/{name}/convert", status_code=202, responses=problems(403, 409, 422))
def convert_model(request: Request, name: str, asked: ConversionRequest | None = None) -> ModelBody:
    """Begin to store float32 weights in bfloat16, half as large: the same frames on a GPU."""
    removes = asked is not None and asked.remove_originals
    return _model(AppContext.of(request).service.models.convert(name, removes))


@router.delete("/{name}/task", status_code=202, responses=problems(403, 409, 422))
def cancel_task(request: Request, name: str) -> ModelBody:
    """Cancel the download, check or conversion that is under way; what was fetched or written is kept."""
    return _model(AppContext.of(request).service.models.cancel(name))


def _model(model: Model) -> ModelBody:
    folder, plan = model.folder, model.plan
    return ModelBody(
        name=model.spec.name,
        title=model.spec.title,
        state=model.state,
        path=str(folder.path),
        origin=folder.origin,
        missing=None if folder.missing is None else str(folder.missing.relative_to(folder.path)),
        bytes=folder.size,
        checked=None if model.checked is None else model.checked.message,
        download=None if plan is None else _download(plan),
        task=None if model.task is None else _task(model.task),
        conversion=None if model.conversion is None else _conversion(model.conversion),
    )


def _conversion(plan: ConversionPlan) -> ConversionBody:
    return ConversionBody(needed=plan.needed, saved=plan.saved, free=plan.free)


def _download(plan: DownloadPlan) -> DownloadBody:
    return DownloadBody(
        size=plan.size,
        begun=plan.begun,
        free=plan.free,
        target=str(plan.target),
        licence=plan.licence,
        origin=plan.origin,
        parts=[_part(part, part.published in plan.to_accept) for part in plan.parts],
        sources=list(plan.sources),
    )


def _part(part: PartPlan, must_accept: bool) -> PartBody:
    published = part.published
    return PartBody(
        repo=published.repo,
        revision=published.revision,
        size=published.size,
        licence=published.licence,
        licence_url=licence_url(published),
        must_accept=must_accept,
        is_here=part.is_here,
        copy_at=None if part.copy is None else str(part.copy),
    )


def _task(task: Task) -> TaskBody:
    ending = task.ending
    error = None
    if ending is not None and (task.has_failed or isinstance(ending, I2VError)):
        error = JobError(code=ending.code, message=ending.message, hint=hint(ending.code))
    return TaskBody(
        deed=task.kind,
        is_cancelling=task.is_cancelling,
        progress=task.progress,
        message=None if ending is None else ending.message,
        error=error,
    )
