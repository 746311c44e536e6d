"""The settings that a video was made with, as fields of a request; the video may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import EncodeError, InvalidRequest, Notice
from i2v.core.fields import shown
from i2v.core.schema import GenerationRequest
from i2v.engines.registry import find_spec
from i2v.jobs.model import JsonObject
from i2v.media.provenance import Provenance
from i2v.media.video import read_tags


@dataclass(frozen=True)
class ClipSettings:
    """Fields of the request that made a video, without what the file leaves out, and what to know of them."""

    fields: JsonObject
    notices: tuple[Notice, ...]


def settings_of(video: Path, engines: Mapping[str, EngineSpec]) -> ClipSettings:
    """Return what made the video, as far as its file says so and this version knows it.

    Anybody may have made it: raises `InvalidRequest` (`clip.unreadable`, `provenance.*`).
    """
    made = Provenance.from_tags(_tags_of(video), Path(video.name))
    spec = engines.get(str(made.generation.get("engine")))
    fields = made.request_fields({}, () if spec is None else spec.capabilities.unused)
    try:
        request = GenerationRequest.parse({"prompt": ""} | fields)
        find_spec(request.engine, engines)
    except InvalidRequest as error:
        name = shown(video.name, limit=300)
        raise InvalidRequest("provenance.unreadable", path=name, reason=error.message) from error
    return ClipSettings(request.model_dump(include=set(fields)), made.unknown(Path(video.name)))


def _tags_of(video: Path) -> dict[str, str]:
    try:
        return read_tags(video)
    except EncodeError as error:
        if error.code != "encode.broken":
            raise
        name, reason = shown(video.name, limit=300), error.params["reason"]
        raise InvalidRequest("clip.unreadable", path=name, reason=reason) from error
