"""A finished clip of ours becomes another one: larger, with frames in between, or both.

Owns what is known of the clip that is there, what the new one will be, and its making, by the same delivery
that new clips go through. The label of generated content and where the frames come from are taken over.
Where clips and jobs are kept is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic_core import to_jsonable_python

from i2v.core.enhancement import EnhanceRequest
from i2v.core.errors import EncodeError, InvalidRequest, Notice
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.results import MadeWith, Result
from i2v.core.schema import MAX_OUTPUT_FPS, Upscaling
from i2v.core.stored import read_as
from i2v.engines.base import Decoded
from i2v.media.label import AIGC
from i2v.media.outputs import OutputTarget
from i2v.media.provenance import KEY, Provenance, versions_of
from i2v.media.upscale import NETWORKS, choose_upscaler
from i2v.media.video import ffmpeg_version, probe, read_tags
from i2v.media.video.frames import read_frames, read_sound
from i2v.media.video.reading import VideoInfo
from i2v.pipeline.delivery import Content, Marks, deliver, held_frames
from i2v.pipeline.resolve import even
from i2v.pipeline.stages import Stopwatch

MAX_SIDE = 4096  # pixels, of the new clip


@dataclass(frozen=True)
class Source:
    """A clip that is there. `sha256`: of its file."""

    video: VideoInfo
    tags: Mapping[str, str]
    provenance: Provenance
    sha256: str

    @property
    def generation(self) -> Generation:
        """What was run, as its file has it; prompts that were left out of it are empty."""
        known = {name: value for name, value in self.provenance.generation.items() if value is not None}
        try:
            return read_as(Generation, {"prompt": "", "negative_prompt": "", **known})
        except ValueError as error:
            name, reason = shown(str(self.video.path), limit=300), shown(str(error), limit=200)
            raise InvalidRequest("provenance.unreadable", path=name, reason=reason) from error


def read_source(path: Path) -> Source:
    """Read a clip of ours; raises `EncodeError` (`encode.broken`), `InvalidRequest` (`provenance.*`)."""
    tags = read_tags(path)
    provenance = Provenance.from_tags(tags, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(probe(path), tags, provenance, digest)


def resolve_enhancement(
    request: EnhanceRequest, source: Source, ran: Generation, upscaling: Upscaling
) -> tuple[Generation, tuple[Notice, ...]]:
    """Return what the new clip will be, `ran` being what was run for the one that is there.

    Raises `InvalidRequest` where it would not be more than that one, or too large.
    """
    video, fps = source.video, round(source.video.fps)
    made = replace(ran, source=source.sha256, extends=0, output_fps=fps)
    if request.output_fps is not None:
        if request.output_fps <= fps:
            allowed = f"a whole number from {fps + 1} to {MAX_OUTPUT_FPS}"
            value = str(request.output_fps)
            raise InvalidRequest("request.invalid", field="output_fps", value=value, allowed=allowed)
        method = "motion" if request.interpolation == "auto" else request.interpolation
        made = replace(made, output_fps=request.output_fps, interpolation=method)
    made = replace(made, width=even(video.width * request.scale), height=even(video.height * request.scale))
    if max(made.width, made.height) > MAX_SIDE:
        most = f"at most {MAX_SIDE / max(video.width, video.height):.3g}"
        raise InvalidRequest("request.invalid", field="scale", value=f"{request.scale:g}", allowed=most)
    notices: tuple[Notice, ...] = ()
    if request.scale > 1:
        upscaler, notices = choose_upscaler(request.upscaler or upscaling)
        made = replace(made, upscaler=upscaler)
    return made, notices


def delivered(generation: Generation, video: VideoInfo) -> Generation:
    """Return what is done to the frames of `video`: they are taken for what an engine without steps makes."""
    same_size = (generation.width, generation.height) == (video.width, video.height)
    return replace(
        generation,
        upscaler="lanczos" if same_size else generation.upscaler,
        interpolation=None if generation.video_fps == round(video.fps) else generation.interpolation,
        story=(),
        made_frames=0,
        num_frames=video.num_frames,
        fps=round(video.fps),
        generated_width=video.width,
        generated_height=video.height,
        num_inference_steps=0,
    )


def enhance_clip(
    source: Source,
    generation: Generation,
    target: OutputTarget,
    tags: Mapping[str, str] | None = None,
    on_frame: Callable[[Decoded], None] = lambda event: None,
) -> Result:
    """Publish the new clip. `on_frame` is called with each frame of the old one, and may raise to cancel.

    Raises as `deliver` and `read_frames` do; nothing is left behind then.
    """
    watch = Stopwatch()

    def content() -> Iterator[Content]:
        with closing(read_frames(source.video)) as frames:
            for frame in frames:
                on_frame(Decoded(frame))
                yield frame
        sound = read_sound(source.video)
        if sound is not None:
            yield sound

    provenance = describe(source, generation)
    marks = {KEY: provenance.to_tag(source.provenance.generation.get("prompt") is not None), **(tags or {})}
    if AIGC in source.tags:
        marks[AIGC] = source.tags[AIGC]
    shown_there = Marks(marks)  # a visible label is in the frames already
    video = deliver(content(), delivered(generation, source.video), shown_there, target, watch)
    made_with = MadeWith("CPU", "float32", "none", provenance.versions)
    held = held_frames(video, generation)
    return Result(video.path, generation, (), watch.seconds, (), made_with, held)


def describe(source: Source, generation: Generation) -> Provenance:
    """Return where the new clip comes from: as the old one does, and from its file (`Generation.source`)."""
    network = NETWORKS.get(generation.upscaler)
    used = ("i2v", "imageio-ffmpeg", "numpy", *(network.packages if network else ()))
    versions = {**source.provenance.versions, **versions_of(used), "ffmpeg": ffmpeg_version()}
    made = {"generation": to_jsonable_python(generation), "versions": versions}
    return source.provenance.model_copy(update=made)


def source_of(path: Path) -> Source:
    """Read the clip that a job has kept; raise `InvalidRequest` (`job.source_lost`) where that fails."""
    try:
        return read_source(path)
    except (OSError, InvalidRequest, EncodeError) as error:
        if isinstance(error, EncodeError) and error.code != "encode.broken":
            raise
        name = shown(str(path), limit=300)
        raise InvalidRequest("job.source_lost", path=name, reason=shown(str(error), limit=200)) from error
