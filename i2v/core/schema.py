"""What a person asks for: `GenerationRequest`, checked once.

What is run for it is a `Generation`; what an engine can be asked for is `engine_spec`'s business. This module
reads no file, touches no device and knows no library of models.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from i2v.core.bounds import Within
from i2v.core.crop import CropPart
from i2v.core.errors import InvalidRequest
from i2v.core.fields import MAX_FRAMES, Text, clean_text, nearest_name, shown
from i2v.core.inputs import INPUT_PARTS, MAX_INPUTS, InputPicture, known_parts
from i2v.core.loras import MAX_LORAS, Loras
from i2v.core.scenes import Story
from i2v.core.sound import NarrationField, TrackField
from i2v.core.story import MAX_SCENES
from i2v.core.styles import StyleField

Fit = Literal["keep", "crop", "pad"]
PresetName = Literal["quick", "standard", "high", "extreme"]
Resolution = Literal["256p", "512p", "768p", "1024p"]
Language = Literal["en", "zh-CN"]
Speed = Literal["auto", "exact", "fast"]
UpscalerName = Literal["lanczos", "span", "real-esrgan"]
Upscaling = Literal["auto", UpscalerName]
InterpolationName = Literal["motion", "blend"]
Interpolation = Literal["auto", InterpolationName]
MAX_SEED = 2**32 - 1
MAX_OUTPUT_FPS = 120
RANDOM_SEED = -1  # how other programs ask for a seed that is drawn
Side = Annotated[int, Within(64, 4096)]


def _drawn(seed: int | None) -> int | None:
    return None if seed == RANDOM_SEED else seed


Seed = Annotated[
    Annotated[int, Within(RANDOM_SEED, MAX_SEED, f", where {RANDOM_SEED} means a random one")] | None,
    AfterValidator(_drawn),
]


# With the machine's name in a cluster, where a GPU may be named by the beginning of its UUID.
_DEVICE = r"([A-Za-z0-9][A-Za-z0-9._-]{0,69}/)?(cpu|cuda:([0-9]{1,2}|(GPU|MIG)-[0-9a-f]{8}))"


def _named_device(name: object) -> object:
    """Return `None` for any device; raise `ValueError` for what is the id of none."""
    if name in (None, "", "auto"):
        return None
    if not isinstance(name, str) or not re.fullmatch(_DEVICE, name):
        raise ValueError("auto, cpu, or a GPU such as cuda:0")
    return name


DeviceId = Annotated[str | None, BeforeValidator(_named_device)]


def _read_options(value: object) -> object:
    """Forms and flags have nothing but text: there, options are one JSON object."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("a JSON object") from None


def _clean_options(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse numbers that JSON does not have, and texts as `clean_text` does, however deep they stand."""
    for name, value in options.items():
        waiting: list[object] = [value]
        while waiting:
            each = waiting.pop()
            try:
                if isinstance(each, str):
                    clean_text(each)
                elif isinstance(each, float) and not math.isfinite(each):
                    raise ValueError("a finite number")
            except ValueError as error:
                field = shown(f"options.{name}")
                raise InvalidRequest(
                    "request.invalid", field=field, value=shown(value), allowed=str(error)
                ) from None
            waiting.extend(
                each if isinstance(each, list) else each.values() if isinstance(each, dict) else ()
            )
    return options


OptionValues = Annotated[
    dict[Text, JsonValue], BeforeValidator(_read_options), AfterValidator(_clean_options)
]


class RequestModel(BaseModel):
    """Base of what a person can ask for: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, fields: object) -> Self:
        """Return the request that a dict of fields describes.

        Raises:
            InvalidRequest: naming the field, its value and what is allowed, or the nearest known field.
        """
        known = tuple(cls.model_fields)
        unknown = [name for name in fields if name not in known] if isinstance(fields, dict) else []
        if unknown:
            nearest = nearest_name(str(unknown[0]), known)
            raise InvalidRequest(
                "request.unknown_field", field=shown(unknown[0]), nearest=nearest, allowed=", ".join(known)
            )
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise invalid_field(error) from None


class GenerationRequest(RequestModel):
    """What a person asks for. `None` means: as the preset, or the engine, has it.

    The bounds are the widest that any engine has; `i2v.pipeline.checks` holds a request to those of its own.

    "512p" is an area of 512 x 512 pixels. `fps` is the playback rate and, clamped to what the model was
    trained on, its condition; `target_fps` overrides the condition alone. Sides are pixels.
    """

    prompt: Text = Field(default="", description="what should happen; some engines can do without")
    negative_prompt: Text | None = None
    style: StyleField = Field(default=None, description="a look that is added to both prompts, by name")
    preset: PresetName = "standard"
    resolution: Resolution | None = None
    fit: Fit = "keep"
    crop: CropPart = Field(default=None, description="the part of the picture that is used, or its shape")
    height: Side | None = None
    width: Side | None = None
    num_frames: Annotated[int, Within(1, MAX_FRAMES)] | None = None
    fps: Annotated[int, Within(1, 60)] | None = None
    target_fps: Annotated[int, Within(1, 60)] | None = None
    output_fps: Annotated[int, Within(1, MAX_OUTPUT_FPS)] | None = Field(
        default=None, description="the video's frames a second, fps at least: frames between are computed"
    )
    interpolation: Interpolation = Field(
        default="auto", description="how frames between are computed; of use with output_fps alone"
    )
    num_inference_steps: Annotated[int, Within(1, 200)] | None = None
    guidance_scale: Annotated[float, Within(1, 30)] | None = None
    upscaler: Upscaling | None = Field(
        default=None, description="what enlarges frames that are smaller than the video; none: as the server"
    )
    speed: Speed = "auto"
    seed: Seed = Field(default=None, description=f"{RANDOM_SEED} or none: a random one, which is reported")
    engine: Text = "auto"
    inputs: Annotated[tuple[InputPicture, ...], BeforeValidator(known_parts)] = Field(
        default=(), max_length=MAX_INPUTS, description="pictures besides image, where the engine takes more"
    )
    checkpoint: Text = Field(
        default="", description="other weights for the model's base, by the name of the file; empty: its own"
    )
    loras: Loras = Field(
        default=(), max_length=MAX_LORAS, description="LoRAs by name, each with its strength, 1 by default"
    )
    story: Story = Field(
        default=(),
        max_length=MAX_SCENES,
        description="a longer clip as scenes, one after another; one scene: so many seconds of one prompt",
    )
    correct_drift: bool = Field(
        default=True, description="in a story, hold colours and sharpness to those of the first frame"
    )
    loop: bool = Field(default=False, description="the video can be repeated without a jump")
    options: OptionValues = Field(
        default_factory=dict, description="what only the chosen engine has; its fields stand with the model"
    )
    sound: TrackField = None
    narration: NarrationField = None
    gradient_checkpointing: bool = False
    device: DeviceId = Field(default=None, description="the server's device to run on, as in GET /devices")

    @model_validator(mode="after")
    def _one_way_to_say_the_size(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise InvalidRequest("request.half_size")
        if self.height is not None and self.resolution is not None:
            raise InvalidRequest(
                "request.two_sizes", resolution=self.resolution, height=self.height, width=self.width
            )
        return self


# Pydantic's types of error (https://docs.pydantic.dev/latest/errors/validation_errors/) in our words.
_ALLOWED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "literal_error": "one of {expected}",
    "model_type": "a table of fields",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "dict_type": "a JSON object",
    "dataclass_type": "a JSON object",
    "tuple_type": "a list",
    "too_long": "a list of at most {max_length}",
    "string_unicode": "a text of valid Unicode (no lone surrogates)",
    "value_error": "{error}",
}


def invalid_field(error: ValidationError) -> InvalidRequest:
    """Return the error for the first field that pydantic refused; nested fields are named with dots."""
    first = error.errors(include_url=False)[0]
    # a picture's role is which kind of picture it is read as, no field
    parts = (part for part in first["loc"] if not isinstance(part, int) and part not in INPUT_PARTS)
    name = ".".join(map(str, parts)) or "request"
    if first["type"] == "missing":
        return InvalidRequest("request.missing_field", field=name)
    words = _ALLOWED.get(first["type"])
    allowed = (
        words.format_map(first.get("ctx", {})) if words else first["msg"].removeprefix("Input should be ")
    )
    return InvalidRequest("request.invalid", field=name, value=shown(first["input"]), allowed=allowed)
