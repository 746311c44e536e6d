"""The REST API's part about LoRAs and checkpoints: what a request can name as `loras` and `checkpoint`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from i2v.web.context import PREFIX, AppContext
from i2v.weights.added_files import AddedFile

router = APIRouter(prefix=PREFIX, tags=["models"])


class AddedFileBody(BaseModel):
    """A file that somebody put into a folder of such files, or that ComfyUI has."""

    name: str = Field(description="as a request names it")
    size: int = Field(description="bytes")
    made_for: str = Field(description="the model that it is of, or for, as its file says; empty: unreadable")
    trigger_words: list[str] = Field(description="of a LoRA: words to write into the prompt, where noted")

    @classmethod
    def of(cls, file: AddedFile) -> AddedFileBody:
        return cls(
            name=file.name, size=file.size, made_for=file.made_for, trigger_words=list(file.trigger_words)
        )


class LorasBody(BaseModel):
    loras: list[AddedFileBody]


class CheckpointsBody(BaseModel):
    checkpoints: list[AddedFileBody]


@router.get("/loras")
def list_loras(request: Request) -> LorasBody:
    """List the LoRAs that are there. Which model takes LoRAs stands in the engines' capabilities."""
    found = AppContext.of(request).service.models.loras()
    return LorasBody(loras=[AddedFileBody.of(file) for file in found])


@router.get("/checkpoints")
def list_checkpoints(request: Request) -> CheckpointsBody:
    """List the checkpoints that are there, for models whose base can be another one."""
    found = AppContext.of(request).service.models.checkpoints()
    return CheckpointsBody(checkpoints=[AddedFileBody.of(file) for file in found])
