"""The whole story: a request and a picture become an MP4, as a short list of named steps.

`resolve` settles every number before anything heavy starts; `generate_video` runs the engine and encodes
frames while later ones are still being decoded. Where models, jobs and pages live is not known here.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import Cancelled, I2VError, InvalidRequest, Notice
from i2v.core.prompt_syntax import notices_on_syntax
from i2v.core.schedules import evaluations
from i2v.core.schema import MAX_SEED, EngineSpec, Generation, GenerationRequest, Preset, Upscaling
from i2v.core.settings import OutputSettings
from i2v.engines.base import NO_LADDER, Decoded, Engine, Event, Ladder
from i2v.media.image import Picture, fit_picture, fit_size
from i2v.media.label import AIGC, aigc_tag
from i2v.media.outputs import OutputTarget
from i2v.media.provenance import KEY, Provenance
from i2v.media.unpublished import About, FrameRecorder
from i2v.media.upscale import NETWORKS, choose_upscaler
from i2v.pipeline.delivery import Marks, Result, deliver, publish_kept
from i2v.pipeline.loading import LoadedEngine
from i2v.pipeline.stages import StageBooks, Stopwatch
from i2v.weights.certificates import Certificate

# What may go well the next moment: the encoder was killed, the folder was moved while it wrote.
PASSING = ("encode.failed", "encode.broken", "encode.frames_lost", "encode.mismatch")

log = logging.getLogger(__name__)


def draw_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def resolve(
    request: GenerationRequest,
    spec: EngineSpec,
    presets: dict[str, Preset],
    picture_size: tuple[int, int],
    draw: Callable[[], int] = draw_seed,
    proofs: Sequence[Certificate] | None = None,
    upscaling: Upscaling = "lanczos",
) -> tuple[Generation, tuple[Notice, ...]]:
    """Fill every gap of `request`: explicit fields, then the engine's preset, then the published one.

    Args:
        picture_size: (width, height) of the upright picture in pixels.
        draw: gives the seed where the request has none.
        proofs: what fast sampling is proven for with these weights; `None` where nobody looked.
        upscaling: what the settings want; a network is used where it is installed and frames are enlarged.
    Raises:
        InvalidRequest: the prompt is blank and the engine needs one.
    """
    if spec.requires_prompt and not _is_visible(request.prompt):
        raise InvalidRequest("request.blank_prompt")
    preset = spec.presets.get(request.preset) or presets[request.preset]
    (width, height), (generated_width, generated_height) = _sizes(request, spec, preset, picture_size)
    fps = request.fps or preset.fps
    low_fps, high_fps = spec.trained_fps
    generation = Generation(
        prompt=request.prompt,
        negative_prompt=spec.default_negative_prompt
        if request.negative_prompt is None
        else request.negative_prompt,
        width=width,
        height=height,
        generated_width=generated_width,
        generated_height=generated_height,
        fit=request.fit,
        num_frames=request.num_frames or preset.num_frames,
        fps=fps,
        target_fps=request.target_fps or min(max(fps, low_fps), high_fps),
        num_inference_steps=request.num_inference_steps or preset.num_inference_steps,
        guidance_scale=preset.guidance_scale if request.guidance_scale is None else request.guidance_scale,
        seed=draw() if request.seed is None else request.seed,
        engine=spec.name,
    )
    speed, told = _speed(request, spec, generation, proofs)
    generation = replace(generation, speed=speed)
    if _scales_up(generation):
        upscaler, missing = choose_upscaler(upscaling)
        generation, told = replace(generation, upscaler=upscaler), (*told, *missing)
    return generation, (*_resolve_notices(request, spec, generation), *told)


def _is_visible(text: str) -> bool:
    """Return whether there is anything to see: neither white space nor letters of no width are."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def _speed(
    request: GenerationRequest, spec: EngineSpec, generation: Generation, proofs: Sequence[Certificate] | None
) -> tuple[Literal["exact", "fast"], tuple[Notice, ...]]:
    """Settle the speed: fast where it is proven, or where it is asked for and known to the engine."""
    if request.speed == "exact" or not spec.has_fast:
        return "exact", ()
    if any(proof.covers(generation) for proof in proofs or ()):
        return "fast", ()
    if request.speed == "fast":
        return "fast", (Notice("speed.unproven", {}),)
    if evaluations("fast", generation.num_inference_steps) == generation.num_inference_steps:
        return "exact", ()  # as few as they get
    return "exact", () if proofs is None else (Notice("speed.not_measured", {}),)


def _sizes(
    request: GenerationRequest, spec: EngineSpec, preset: Preset, picture_size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((width, height) of the video, (width, height) that the model generates)."""
    native = spec.native_area_side
    if request.width is not None and request.height is not None:
        video = (_even(request.width), _even(request.height))
        side = (request.width * request.height) ** 0.5
        return video, fit_size(*video, min(side, native or side), spec.multiple, "keep")
    side = int(request.resolution.removesuffix("p")) if request.resolution else preset.area_side
    if native is None or side <= native:
        size = fit_size(*picture_size, side, spec.multiple, request.fit)
        return size, size
    generated = fit_size(*picture_size, native, spec.multiple, request.fit)
    return (_even(generated[0] * side / native), _even(generated[1] * side / native)), generated


def _even(side: float) -> int:
    """H.264 in 4:2:0 needs even sides."""
    return max(2, 2 * round(side / 2))


def _scales_up(generation: Generation) -> bool:
    """Return whether the video is larger than its frames by more than the rounding of a size."""
    generated = generation.generated_width * generation.generated_height
    return generation.width * generation.height > 1.1 * generated


def _resolve_notices(
    request: GenerationRequest, spec: EngineSpec, generation: Generation
) -> Iterator[Notice]:
    low, high = spec.trained_frames
    if not low <= generation.num_frames <= high:
        yield Notice(
            "request.untrained_frames",
            {"title": spec.title, "low": low, "high": high, "num_frames": generation.num_frames},
        )
    if request.target_fps is None and generation.target_fps != generation.fps:
        low, high = spec.trained_fps
        yield Notice(
            "request.target_fps_clamped",
            {"low": low, "high": high, "target_fps": generation.target_fps, "fps": generation.fps},
        )
    sizes = {
        "width": generation.width, "height": generation.height,
        "generated_width": generation.generated_width, "generated_height": generation.generated_height,
    }  # fmt: skip
    if request.width is not None and (request.width, request.height) != (generation.width, generation.height):
        asked = {"asked_width": request.width, "asked_height": request.height}
        yield Notice(
            "request.size_changed", {**asked, "width": generation.width, "height": generation.height}
        )
    if _scales_up(generation):
        network = NETWORKS.get(generation.upscaler)
        if network is None:
            yield Notice("request.scaled_up", {"title": spec.title, **sizes})
        else:
            yield Notice("request.upscaled", {"title": spec.title, "upscaler": network.title, **sizes})
    elif (generation.width, generation.height) != (generation.generated_width, generation.generated_height):
        yield Notice("request.size_rounded", {"multiple": spec.multiple, **sizes})
    if request.gradient_checkpointing:
        yield Notice("request.gradient_checkpointing", {})
    yield from notices_on_syntax(request.prompt, request.negative_prompt or "")


def describe(
    request: GenerationRequest,
    generation: Generation,
    picture: Picture,
    loaded: LoadedEngine,
    output: OutputSettings,
) -> Provenance:
    """Return where the clip will have come from, settled before its first frame."""
    visible = output.language if output.label == "visible" else None
    return Provenance.of(
        request, generation, picture.image, loaded.weights_sha256, loaded.engine.plan, loaded.device, visible
    )


def mark(provenance: Provenance, output: OutputSettings) -> Marks:
    """Return what the settings want the video to carry."""
    tags = {KEY: provenance.to_tag(output.prompts)}
    if output.label != "none":
        tags[AIGC] = aigc_tag(output.producer, provenance.digest())
    return Marks(tags, provenance.visible_label)


def generate_video(
    engine: Engine,
    generation: Generation,
    picture: Picture,
    output: OutputTarget,
    marks: Marks,
    on_event: Callable[[Event], None] = lambda event: None,
    stopwatch: Stopwatch | None = None,
    ladder: Ladder = NO_LADDER,
    recorder: FrameRecorder | None = None,
) -> Result:
    """Generate the clip and publish it under its final name.

    Raises whatever stops it; nothing is left behind then, but the frames in `recorder` where only the end
    failed: all are decoded first, unless it failed before the engine began. `on_event` may raise to cancel.
    """
    watch = stopwatch or Stopwatch()
    books = StageBooks(engine.spec, generation, engine.plan, watch)
    with watch.phase("picture"):
        fitted = fit_picture(picture.image, generation.width, generation.height, generation.fit)
        model_size = (generation.generated_width, generation.generated_height)
        image = (
            fitted.image
            if fitted.image.size == model_size
            else fitted.image.resize(model_size, Image.Resampling.LANCZOS)
        )
    notices = [*picture.notices, *fitted.notices]

    has_begun = False

    def decoded(events: Iterator[Event]) -> Iterator[NDArray[np.uint8]]:
        nonlocal has_begun
        has_begun = True
        followed = books.follow(events)
        for event in followed if generation.upscaler == "lanczos" else _frame_by_frame(followed):
            on_event(event)
            notices.extend(event.notices)
            if isinstance(event, Decoded):
                if recorder is not None:
                    recorder.append(event.frames)
                yield event.frames

    with (
        recorder.begin(generation) if recorder is not None else nullcontext(),
        closing(engine.generate(generation, image, ladder)) as events,
    ):
        frames = decoded(events)
        try:
            path = deliver(frames, generation, marks, output, watch)
        except Exception as error:  # a defect in the delivery is no reason to lose frames either
            if recorder is None or not has_begun or isinstance(error, Cancelled):
                raise
            for _ in frames:  # where the engine itself failed, there are no more
                pass
            stages = tuple(books.to_list())
            about = About(generation, marks.tags, marks.visible, tuple(notices), watch.seconds, stages)
            kept = recorder.keep(about)
            if kept is None or not (isinstance(error, I2VError) and error.code in PASSING):
                raise
            log.warning("the video is encoded once more: %s", error)
            published = replace(publish_kept(kept, output), notices=tuple(notices))
            recorder.notice = None
            return published
    return Result(path, generation, tuple(notices), watch.seconds, tuple(books.to_list()))


def _frame_by_frame(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on, each frame as one: what takes a while for every frame can be cancelled between two."""
    for event in events:
        if isinstance(event, Decoded):
            for index in range(len(event.frames)):
                yield Decoded(event.frames[index : index + 1], () if index else event.notices)
        else:
            yield event
