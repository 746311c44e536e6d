"""The whole story: a request and a picture become an MP4, as a short list of named steps.

`resolve` settles every number before anything heavy starts; `generate_video` runs the engine and encodes
frames while later ones are still being decoded. Where models, jobs and pages live is not known here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from i2v.certificates import Certificate
from i2v.engines.base import NO_LADDER, Decoded, Engine, Event, Ladder
from i2v.errors import InsufficientMemory, InvalidRequest, Notice
from i2v.image import Picture, fit_picture, fit_size, resize_frames
from i2v.label import AIGC, VisibleLabel, aigc_tag
from i2v.loading import LoadedEngine
from i2v.outputs import OutputTarget
from i2v.prompt_syntax import notices_on_syntax
from i2v.provenance import KEY, Provenance
from i2v.schedules import evaluations, fast
from i2v.schema import MAX_SEED, EngineSpec, Generation, GenerationRequest, Language, Preset, Upscaling
from i2v.settings import OutputSettings
from i2v.stages import StageBooks, Stopwatch
from i2v.upscale import NETWORKS, Upscaler, choose_upscaler
from i2v.video import Mp4Writer


@dataclass(frozen=True)
class Result:
    """A finished clip: where it is, what was run, what to know of it, and what it took.

    `seconds` are of each phase, on the wall; `stages` are as `StageBooks.to_list` has them.
    """

    path: Path
    generation: Generation
    notices: tuple[Notice, ...]
    seconds: dict[str, float]
    stages: tuple[dict[str, object], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the fields that `--json` and the API report."""
        told = asdict(self.generation)
        names = (
            "seed", "width", "height", "generated_width", "generated_height", "num_frames", "fps",
            "target_fps", "num_inference_steps", "guidance_scale", "prompt", "negative_prompt", "fit",
            "engine", "speed", "upscaler",
        )  # fmt: skip
        return {
            "path": str(self.path),
            **{name: told[name] for name in names},
            **_ran(self.generation),
            "seconds": {phase: round(spent, 3) for phase, spent in self.seconds.items()},
            "stages": list(self.stages),
            "notices": [notice.to_dict() for notice in self.notices],
        }


@dataclass(frozen=True)
class Marks:
    """What a video carries besides its frames: metadata, and a visible label in a language, if any."""

    tags: dict[str, str] = field(default_factory=dict)
    visible: Language | None = None


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


def _ran(generation: Generation) -> dict[str, object]:
    """Return what the sampler does for this generation, for the report of a clip."""
    steps = generation.num_inference_steps
    solver = fast(steps).solver if generation.speed == "fast" else "ddim"
    return {"solver": solver, "unet_evaluations": evaluations(generation.speed, steps)}


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
) -> Result:
    """Generate the clip and publish it under its final name.

    Raises whatever stops it; nothing is left behind then. `on_event` may raise to cancel.
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
    size = (generation.width, generation.height)
    label = VisibleLabel(size, generation.fps, marks.visible) if marks.visible else None
    upscaler = None
    if generation.upscaler != "lanczos":
        with watch.phase("upscale"):
            upscaler = Upscaler(generation.upscaler)
    with (
        Mp4Writer(output, fps=generation.fps, size=size, tags=marks.tags) as writer,
        closing(engine.generate(generation, image, ladder)) as events,
    ):
        followed = books.follow(events)
        for event in followed if upscaler is None else _frame_by_frame(followed):
            on_event(event)
            notices.extend(event.notices)
            if isinstance(event, Decoded):
                frames = event.frames
                if upscaler is not None:
                    with _booked(watch, "upscale"):
                        frames = upscaler.enlarge(frames)
                with _booked(watch, "encode"):
                    frames = resize_frames(frames, *size)
                    writer.append(label.draw(frames) if label else frames)
        with _booked(watch, "encode"):
            path = writer.finish().path
    return Result(path, generation, tuple(notices), watch.seconds, tuple(books.to_list()))


def _frame_by_frame(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on, each frame as one: what takes a while for every frame can be cancelled between two."""
    for event in events:
        if isinstance(event, Decoded):
            for index in range(len(event.frames)):
                yield Decoded(event.frames[index : index + 1], () if index else event.notices)
        else:
            yield event


@contextmanager
def _booked(watch: Stopwatch, phase: Literal["upscale", "encode"]) -> Iterator[None]:
    try:
        with watch.phase(phase):
            yield
    except MemoryError as error:
        raise InsufficientMemory("encode.out_of_memory", reason=str(error) or "MemoryError") from error
