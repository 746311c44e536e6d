"""Whether an engine can do what a request asks for. What it cannot is refused with what it can."""

from __future__ import annotations

from pydantic import ValidationError

from i2v.core.engine_spec import ADDED_FIELDS, OPTIONAL_FIELDS, EngineSpec, Options
from i2v.core.errors import InvalidRequest
from i2v.core.fields import nearest_name, shown
from i2v.core.generation import Generation
from i2v.core.inputs import Keyframe, LastImage
from i2v.core.loras import Lora
from i2v.core.scenes import Scene
from i2v.core.schema import GenerationRequest, invalid_field


def check_request(request: GenerationRequest, spec: EngineSpec) -> Options:
    """Return the request's options as `spec` reads them.

    Raises:
        InvalidRequest: `request.*`, naming the field and what the engine takes.
    """
    can = spec.capabilities
    _check_prompts(request, spec)
    for name in OPTIONAL_FIELDS:
        value = getattr(request, name)
        if value not in (None, "") and name in can.unused:
            raise _not_supported(name, value, spec)
    for name in ADDED_FIELDS:
        value = getattr(request, name)
        if value and name in can.unused:
            raise _not_supported(name, value, spec)
    if request.style is not None and not spec.takes_style:
        raise _not_supported("style", request.style, spec)
    for lora in request.loras:
        if lora.strength_2 is not None and not spec.has_two_experts:
            raise _not_supported("loras.strength_2", lora.strength_2, spec)
    _check_inputs(request, spec)
    steps = request.num_inference_steps
    if steps is not None and can.num_inference_steps and not can.step_counts.allows(steps):
        raise _invalid("num_inference_steps", steps, f"{can.step_counts} with {spec.title}")
    if request.num_frames is not None and not can.num_frames.allows(request.num_frames):
        raise _invalid("num_frames", request.num_frames, f"{can.num_frames} with {spec.title}")
    low, high = can.fps
    if request.fps is not None and not low <= request.fps <= high:
        raise _invalid("fps", request.fps, f"a whole number from {low} to {high} with {spec.title}")
    if request.fit not in can.fits:
        raise _invalid("fit", request.fit, f"one of {', '.join(can.fits)} with {spec.title}")
    for name in ("height", "width"):
        side = getattr(request, name)
        if side is not None and side > can.largest_side:
            raise _invalid(name, side, f"at most {can.largest_side} with {spec.title}")
    return _options(request, spec)


def _check_prompts(request: GenerationRequest, spec: EngineSpec) -> None:
    """Hold the request's prompt, and those of its scenes, to whether the engine reads any."""
    needs = spec.capabilities.prompt
    of_scenes = [scene.prompt for scene in request.story]
    if needs == "required" and not (of_scenes and all(map(_is_visible, of_scenes))):
        if "prompt" not in request.model_fields_set:
            raise InvalidRequest("request.missing_field", field="prompt")
        if not _is_visible(request.prompt):
            raise InvalidRequest("request.blank_prompt")
    for field, prompts in (("prompt", [request.prompt]), ("story.prompt", of_scenes)):
        found = next(filter(_is_visible, prompts), None)
        if needs == "none" and found is not None:
            raise _not_supported(field, found, spec)


def _check_inputs(request: GenerationRequest, spec: EngineSpec) -> None:
    roles = [picture.role for picture in request.inputs]
    at_frames = [role for role in roles if role not in ("motion_mask", "style_image")]  # of all frames
    if at_frames and request.story:
        raise InvalidRequest("request.story_with_pictures")
    if request.loop and (at_frames or request.story):
        raise InvalidRequest("request.loop_alone")
    if request.loop and spec.capabilities.loop == "none":
        raise _not_supported("loop", "true", spec)
    for role in roles:
        if role not in spec.capabilities.inputs:
            raise _not_supported("inputs", role, spec)
    for role in ("last_image", "motion_mask", "style_image"):
        if roles.count(role) > 1:
            raise _invalid("inputs", ", ".join(roles), f"one {role} at most")
    frames = [picture.frame for picture in request.inputs if isinstance(picture, Keyframe)]
    for frame in frames:
        if frames.count(frame) > 1:
            raise _invalid("inputs.frame", frame, "another frame for each keyframe")


def check_keyframes(generation: Generation) -> None:
    """Raise `InvalidRequest` for a keyframe that is not within the clip, or where the last image is."""
    has_last = any(isinstance(picture, LastImage) for picture in generation.inputs)
    most = generation.num_frames - (2 if has_last else 1)
    for picture in generation.inputs:
        if isinstance(picture, Keyframe) and picture.frame > most:
            allowed = f"a whole number from 1 to {most}, as the clip has {generation.num_frames} frames"
            if has_last:
                allowed += " and its last one is last_image"
            raise _invalid("inputs.frame", picture.frame, allowed)


def _options(request: GenerationRequest, spec: EngineSpec) -> Options:
    known = tuple(spec.options_model.model_fields)
    for name in request.options:
        if name not in known:
            field = f"options.{name}"
            if not known:
                raise _not_supported(field, request.options[name], spec)
            nearest = f"options.{nearest_name(name, known)}"
            allowed = ", ".join(known)
            raise InvalidRequest(
                "request.unknown_field", field=shown(field), nearest=nearest, allowed=allowed
            )
    try:
        return spec.options_model.model_validate(request.options)
    except ValidationError as error:
        found = invalid_field(error).params
        raise InvalidRequest(
            "request.invalid",
            field=f"options.{found['field']}",
            value=found["value"],
            allowed=found["allowed"],
        ) from None


def _is_visible(text: str) -> bool:
    """Return whether there is anything to see: neither white space nor letters of no width are."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def _not_supported(field: str, value: object, spec: EngineSpec) -> InvalidRequest:
    first = value[0] if isinstance(value, tuple) else value
    if isinstance(first, Lora):
        first = first.name
    elif isinstance(first, Scene):
        first = f"{first.seconds:g} s"
    return InvalidRequest("request.not_supported", field=shown(field), value=shown(first), title=spec.title)


def _invalid(field: str, value: object, allowed: str) -> InvalidRequest:
    return InvalidRequest("request.invalid", field=field, value=shown(value), allowed=allowed)
