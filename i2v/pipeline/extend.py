"""A finished clip of ours becomes a longer one: its own frames, then new ones that go on from its last ones.

Owns what the longer clip will be, what the engine is given of the one that is there, and where it comes from.
The new part is made as a story is (`segments`), at the size and the rate of the engine; the old part is only
encoded again, as it is (`beginning`). Where clips and jobs are kept is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from PIL import Image
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from i2v.core.engine_spec import EngineSpec, Options
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.extension import ExtendRequest
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.scenes import Scene
from i2v.core.schema import invalid_field
from i2v.core.story import MAX_SCENES, MAX_SECONDS, scene_frames
from i2v.core.styles import STYLES, joined
from i2v.engines.base import Inputs
from i2v.media.image import resize_frames
from i2v.media.label import AIGC
from i2v.media.provenance import Provenance
from i2v.media.video.frames import read_frames
from i2v.pipeline.drift import Frame, Look
from i2v.pipeline.enhance import Source
from i2v.pipeline.scenes import overlap_of
from i2v.pipeline.segments import Before


def resolve_extension(
    request: ExtendRequest, source: Source, ran: Generation, spec: EngineSpec, draw: Callable[[], int]
) -> tuple[Generation, tuple[Notice, ...]]:
    """Return what the longer clip will be, `ran` being what was run for the one that is there, by `spec`.

    Raises `InvalidRequest` where the engine makes no more of a clip, or not so much, or cannot have made it.
    """
    video, can = source.video, spec.capabilities
    if not can.story:
        raise InvalidRequest("extend.engine", title=spec.title)
    if can.prompt == "none" and (request.prompt or "").strip():
        raise InvalidRequest("request.not_supported", field="prompt", value=request.prompt, title=spec.title)
    options = _options_of(ran, source, spec)
    own = ran.story[-1].prompt if ran.story else ran.prompt
    prompt = _in_style(request.prompt, ran) if request.prompt and request.prompt.strip() else own
    if can.prompt == "required" and not prompt.strip():
        raise InvalidRequest("request.missing_field", field="prompt")
    fps, frames = round(video.fps), video.num_frames * ran.fps // round(video.fps)
    overlap = overlap_of(ran.num_frames, spec)
    if frames < max(overlap, 2):
        raise InvalidRequest("extend.too_short", frames=frames, title=spec.title, least=max(overlap, 2))
    scenes = _scenes_of(ran, frames)
    _check_seconds(request.seconds, scenes, ran.fps, overlap)
    story = (*scenes, Scene(request.seconds, prompt))
    made = replace(
        ran,
        width=video.width,
        height=video.height,
        seed=draw() if request.seed is None else request.seed,
        inputs=(),
        sound=None,
        narration=None,
        story=story,
        loop=False,
        made_frames=sum(scene_frames([scene.seconds for scene in story], ran.fps)),
        overlap=overlap,
        correct_drift=request.correct_drift and ran.strength == 1,
        output_fps=None if fps == ran.fps else fps,
        interpolation=None if fps == ran.fps else ran.interpolation or "motion",
        source=source.sha256,
        extends=frames,
    )
    made, notices = _with_options(made, options, prompt != own)
    said = Notice("extend.seam", {"segments": len(made.segments), "overlap": overlap})
    return made, (said, *notices)


def _options_of(ran: Generation, source: Source, spec: EngineSpec) -> Options:
    """Return what the clip's engine was asked for besides; refuse what that cannot have made.

    Anybody may have written the file, or another version.
    """
    can, sides = spec.capabilities, (ran.generated_width, ran.generated_height)
    possible = {
        "num_frames": can.num_frames.allows(ran.num_frames),
        "fps": can.fps[0] <= ran.fps <= can.fps[1],
        "num_inference_steps": not can.num_inference_steps or can.step_counts.allows(ran.num_inference_steps),
        "strength": 0 <= ran.strength <= 1,
        "generated_width or generated_height": all(
            0 < side <= can.largest_side and side % spec.multiple == 0 for side in sides
        ),
        "frames per second": source.video.fps >= 1,
    }
    wrong = [name for name, is_possible in possible.items() if not is_possible]
    try:
        options = spec.options_model.model_validate(ran.options)
    except ValidationError as error:
        wrong.append(f"options.{invalid_field(error).params['field']}")
    if wrong:
        path, reason = shown(str(source.video.path), limit=300), f"{wrong[0]} does not fit {spec.title}"
        raise InvalidRequest("provenance.unreadable", path=path, reason=reason)
    return options


def _in_style(prompt: str, ran: Generation) -> str:
    """Return the prompt with the words of the clip's style, as its other prompts have them."""
    look = "" if ran.style is None else STYLES[ran.style].prompt
    return prompt if look in prompt else joined(prompt, look)


def _scenes_of(ran: Generation, frames: int) -> tuple[Scene, ...]:
    """Return the clip that is there, so many frames at the engine's rate, as scenes."""
    held = frames - ran.total_frames  # its last frame may stay as long as somebody speaks
    if not ran.story or held < 0:  # somebody has cut it
        return (Scene(frames / ran.fps, ran.prompt),)
    *earlier, last = ran.story
    return (*earlier, replace(last, seconds=last.seconds + held / ran.fps))


def _check_seconds(seconds: float, scenes: Sequence[Scene], fps: int, overlap: int) -> None:
    """Refuse a part that is shorter than what it has in common with the clip, and a clip that is too long."""
    there = sum(scene.seconds for scene in scenes)
    if len(scenes) >= MAX_SCENES or MAX_SECONDS - there < max(overlap, 2) / fps:
        raise InvalidRequest("extend.full", seconds=MAX_SECONDS, scenes=MAX_SCENES)
    _, count = scene_frames([there, seconds], fps)
    if count >= max(overlap, 2) and there + seconds <= MAX_SECONDS:
        return
    least, most = (
        math.ceil(1000 * max(overlap, 2) / fps) / 1000,
        math.floor(1000 * (MAX_SECONDS - there)) / 1000,
    )
    allowed = f"{least:g} to {most:g}, since a clip has {MAX_SECONDS} seconds at the most"
    raise InvalidRequest("request.invalid", field="seconds", value=f"{seconds:g}", allowed=allowed)


def _with_options(
    generation: Generation, options: Options, is_new: bool
) -> tuple[Generation, tuple[Notice, ...]]:
    """Return it with the options for the new part; say where a camera moves in that."""
    options, notices = (options.anew() if is_new else options).completed(generation)
    if generation.strength < 1:
        notices = (*notices, Notice("extend.path", {}))
    return replace(generation, options=options.model_dump(mode="json", exclude_none=True)), notices


def read_before(
    source: Source, generation: Generation, on_frame: Callable[[], None]
) -> tuple[Before, Inputs]:
    """Read once through the clip; return what the engine goes on from, and what it is given.

    `on_frame` is called with each frame, and may raise to cancel. Raises as `read_frames` does.
    """
    video, size = source.video, (generation.generated_width, generation.generated_height)
    rate = generation.video_fps / generation.fps
    numbers = [
        min(video.num_frames - 1, round(number * rate))
        for number in range(generation.extends - generation.overlap, generation.extends)
    ]
    first: Look | None = None
    kept, last = dict[int, Frame](), np.empty((0,), np.uint8)
    with closing(read_frames(video)) as frames:
        for number, frame in enumerate(frames):
            on_frame()
            if first is None:
                first = Look.of(resize_frames(frame, *size)[0])
            if number in numbers:
                kept[number] = resize_frames(frame, *size)[0]
            last = frame[0]
    assert first is not None, "a video has frames, or reading it has raised"
    earlier = tuple(kept[number] for number in numbers)
    times = max(1, min(video.width // size[0], video.height // size[1]))
    large = Image.fromarray(resize_frames(last[None], times * size[0], times * size[1])[0])
    inputs = Inputs(Image.fromarray(earlier[0]), large=large if generation.strength < 1 else None)
    return Before(earlier, first), inputs


def described(provenance: Provenance, source: Source) -> Provenance:
    """Return where the longer clip comes from: its new frames, and the clips that were made longer before."""
    then = source.provenance
    before = {"generation": then.generation, "weights_sha256": then.weights_sha256}
    update = {
        "picture_sha256": then.picture_sha256,
        "inputs_sha256": then.inputs_sha256,
        "sound_sha256": then.sound_sha256,
        "synthetic_speech": then.synthetic_speech,
        "size": then.size,
        "extended": [*then.extended, to_jsonable_python(before)],
        "visible_label": then.visible_label or provenance.visible_label,
    }
    return provenance.model_copy(update=update)


def taken_over(source: Source) -> dict[str, str]:
    """Return the tags that a longer clip has from the one that is there: the label of generated content,
    unless it gets one of its own."""
    return {AIGC: source.tags[AIGC]} if AIGC in source.tags else {}
