"""From a request to a `Generation`: explicit fields, then the engine's preset, then the published one.

Pure but for the seed that is drawn. How the device is used is `plan`'s business.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from i2v.core.crop import Crop, kept_size, settled
from i2v.core.engine_spec import EngineSpec, Options, Preset
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.inputs import LastImage, MotionMask, StyleImage
from i2v.core.loras import MAX_LORAS, Lora
from i2v.core.prompt_syntax import notices_on_syntax
from i2v.core.schedules import evaluations
from i2v.core.schema import MAX_OUTPUT_FPS, MAX_SEED, GenerationRequest, InterpolationName, Upscaling
from i2v.core.styles import STYLES, joined
from i2v.media.image import DEFAULT_LIMITS, fit_size
from i2v.media.upscale import NETWORKS, choose_upscaler
from i2v.pipeline.checks import check_keyframes, check_request
from i2v.pipeline.loops import notices_on_loop, with_loop
from i2v.pipeline.scenes import notices_on_story, with_story
from i2v.weights.certificates import Certificate
from i2v.weights.parts import expert_in


def draw_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def resolve(
    request: GenerationRequest,
    spec: EngineSpec,
    presets: dict[str, Preset],
    picture_size: tuple[int, int],
    draw: Callable[[], int] = draw_seed,
    certificates: Sequence[Certificate] | None = None,
    upscaling: Upscaling = "lanczos",
) -> tuple[Generation, tuple[Notice, ...]]:
    """Fill every gap of `request`: explicit fields, then the engine's preset, then the published one.

    Args:
        picture_size: (width, height) of the upright picture in pixels.
        draw: gives the seed where the request has none.
        certificates: what fast sampling is proven for with these weights; `None` where nobody looked.
        upscaling: what the settings want, where the request says nothing; a network is used where it is
            installed and frames are enlarged.
    Raises:
        InvalidRequest: as `check_request` and `check_keyframes` do, and for a `crop` that leaves too little.
    """
    preset = spec.presets.get(request.preset) or presets[request.preset]
    if preset.options:
        request = request.model_copy(update={"options": {**preset.options, **request.options}})
    options = check_request(request, spec)
    can = spec.capabilities
    crop = _crop(request, picture_size)
    picture_size = kept_size(picture_size, crop)
    (width, height), (generated_width, generated_height) = _sizes(request, spec, preset, picture_size)
    fps = request.fps or preset.fps
    steps = request.num_inference_steps or preset.num_inference_steps
    guidance_scale = request.guidance_scale or preset.guidance_scale
    output_fps, interpolation = _between(request, fps)
    generation = Generation(
        prompt=joined(request.prompt, STYLES[request.style].prompt) if request.style else request.prompt,
        negative_prompt=_negative_prompt(request, spec),
        width=width,
        height=height,
        generated_width=generated_width,
        generated_height=generated_height,
        fit=request.fit,
        num_frames=request.num_frames or can.num_frames.nearest(preset.num_frames),
        fps=fps,
        target_fps=_target_fps(request, spec, fps),
        num_inference_steps=steps if can.num_inference_steps else 0,
        guidance_scale=guidance_scale if can.guidance_scale else 1.0,
        seed=request.seed if request.seed is not None else draw() if can.seed else 0,
        engine=spec.name,
        inputs=request.inputs,
        crop=crop,
        checkpoint=request.checkpoint.strip(),
        loras=_loras(request, spec, preset),
        output_fps=output_fps,
        interpolation=interpolation,
        sound=request.sound,
        narration=request.narration and request.narration.settled(),
        style=request.style,
    )
    check_keyframes(generation)
    generation = with_loop(with_story(generation, request, spec), request, spec)
    generation, understood = _with_options(generation, options.looping() if request.loop else options, spec)
    speed, on_speed = _speed(request, spec, generation, certificates)
    notices = (*understood, *on_speed)
    generation = replace(generation, speed=speed)
    if _scales_up(generation):
        upscaler, missing = choose_upscaler(request.upscaler or upscaling)
        generation, notices = replace(generation, upscaler=upscaler), (*notices, *missing)
    return generation, (*_resolve_notices(request, spec, generation), *notices)


def _with_options(
    generation: Generation, options: Options, spec: EngineSpec
) -> tuple[Generation, tuple[Notice, ...]]:
    """Fill the options' gaps by all else that is settled; refuse a camera's path with later pictures."""
    options, understood = options.completed(generation)
    strength = options.denoising_strength if spec.capabilities.num_inference_steps else 1.0
    generation = replace(
        generation,
        options=options.model_dump(mode="json", exclude_none=True),
        strength=strength,
        loop=generation.loop or (spec.capabilities.loop == "own" and options.loops),
        # along a path each segment begins with frames of the photograph, and its colours change as that does
        correct_drift=generation.correct_drift and strength == 1,
    )
    has_later = any(not isinstance(picture, MotionMask | StyleImage) for picture in generation.inputs)
    if has_later and strength < 1:
        raise InvalidRequest("request.path_with_pictures")
    return generation, understood


def _crop(request: GenerationRequest, picture_size: tuple[int, int]) -> Crop | None:
    """Return the part that is asked for; refuse one that would be no picture by itself."""
    crop = settled(request.crop, picture_size)
    width, height = kept_size(picture_size, crop)
    least, aspect = DEFAULT_LIMITS.min_side, DEFAULT_LIMITS.max_aspect
    if crop and (min(width, height) < least or max(width, height) > aspect * min(width, height)):
        allowed = f"a part of at least {least} pixels a side, and at most {aspect:g} times as long as wide"
        raise InvalidRequest("request.invalid", field="crop", value=str(request.crop), allowed=allowed)
    return crop


def _loras(request: GenerationRequest, spec: EngineSpec, preset: Preset) -> tuple[Lora, ...]:
    """Return the preset's and the request's, each with what it does in each expert where there are two."""
    named = {lora.name for lora in request.loras}
    loras = (*(lora for lora in preset.loras if lora.name not in named), *request.loras)
    if len(loras) > MAX_LORAS:
        most = f"at most {MAX_LORAS - len(loras) + len(request.loras)} besides those of this preset"
        raise InvalidRequest("request.invalid", field="loras", value=str(len(request.loras)), allowed=most)
    return tuple(map(_of_experts, loras)) if spec.has_two_experts else loras


def _of_experts(lora: Lora) -> Lora:
    if lora.strength_2 is not None:
        return lora
    expert = expert_in(lora.name)
    if expert is None:
        return replace(lora, strength_2=lora.strength)
    return replace(lora, strength=0.0, strength_2=lora.strength) if expert else replace(lora, strength_2=0.0)


def _negative_prompt(request: GenerationRequest, spec: EngineSpec) -> str:
    if not spec.capabilities.negative_prompt:
        return ""
    words = spec.default_negative_prompt if request.negative_prompt is None else request.negative_prompt
    return joined(words, STYLES[request.style].negative_prompt) if request.style else words


def _target_fps(request: GenerationRequest, spec: EngineSpec, fps: int) -> int:
    """Return the frame rate that is the model's condition: what it was trained on, if it has one at all."""
    if not spec.capabilities.target_fps:
        return fps
    low, high = spec.trained_fps
    return request.target_fps or min(max(fps, low), high)


def _between(request: GenerationRequest, fps: int) -> tuple[int | None, InterpolationName | None]:
    """Return the video's frame rate and how frames between are computed; nothing where there are none."""
    wanted = request.output_fps
    if wanted is None or wanted == fps:
        return None, None
    if wanted < fps:
        allowed = f"a whole number from {fps} to {MAX_OUTPUT_FPS}"
        raise InvalidRequest("request.invalid", field="output_fps", value=str(wanted), allowed=allowed)
    return wanted, "motion" if request.interpolation == "auto" else request.interpolation


def _speed(
    request: GenerationRequest,
    spec: EngineSpec,
    generation: Generation,
    certificates: Sequence[Certificate] | None,
) -> tuple[Literal["exact", "fast"], tuple[Notice, ...]]:
    """Settle the speed: fast where it is proven, or where it is asked for and known to the engine."""
    if request.speed == "exact" or not spec.capabilities.speed:
        return "exact", ()
    # the fast way is proven from noise alone, and of one picture
    is_other = generation.strength < 1 or (spec.capabilities.blends_ends and _has_last(generation))
    if request.speed == "auto" and is_other:
        return "exact", ()
    if not is_other and any(each.covers(generation) for each in certificates or ()):
        return "fast", ()
    if request.speed == "fast":
        return "fast", (Notice("speed.unproven", {}),)
    if evaluations("fast", generation.num_inference_steps) == generation.num_inference_steps:
        return "exact", ()  # as few as they get
    return "exact", () if certificates is None else (Notice("speed.not_measured", {}),)


def _has_last(generation: Generation) -> bool:
    return any(isinstance(picture, LastImage) for picture in generation.inputs)


def _sizes(
    request: GenerationRequest, spec: EngineSpec, preset: Preset, picture_size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((width, height) of the video, (width, height) that the model generates)."""
    native = spec.native_area_side
    if request.width is not None and request.height is not None:
        video = (even(request.width), even(request.height))
        side = (request.width * request.height) ** 0.5
        return video, fit_size(*video, min(side, native or side), spec.multiple, "keep")
    area_side = float(request.resolution.removesuffix("p")) if request.resolution else preset.area_side
    if spec.capabilities.own_size and request.resolution is None:
        own = (picture_size[0] * picture_size[1]) ** 0.5
        area_side = min(area_side, own, own * spec.capabilities.largest_side / max(picture_size))
    if native is None or area_side <= native:
        largest = spec.capabilities.largest_side
        size = fit_size(*picture_size, area_side, spec.multiple, request.fit, largest)
        return size, size
    generated = fit_size(*picture_size, native, spec.multiple, request.fit)
    return (even(generated[0] * area_side / native), even(generated[1] * area_side / native)), generated


def even(side: float) -> int:
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
    made = generation.num_frames
    if low == high != made:
        yield Notice("request.untrained_count", {"title": spec.title, "count": low, "num_frames": made})
    elif not low <= made <= high:
        yield Notice(
            "request.untrained_frames", {"title": spec.title, "low": low, "high": high, "num_frames": made}
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
    if spec.capabilities.blends_ends and _has_last(generation):
        yield Notice("request.last_image_blended", {"title": spec.title})
    if request.gradient_checkpointing:
        yield Notice("request.gradient_checkpointing", {})
    yield from notices_on_story(generation, spec)
    yield from notices_on_loop(generation)
    yield from notices_on_syntax(request.prompt, request.negative_prompt or "")
