"""The words the house speaks: what a person asks for, what an engine is, what is really run.

`GenerationRequest` is what was asked, checked once; `Generation` is what is run, with every gap filled. Facts about
models are `EngineSpec` rows. This module reads no file, touches no device and knows no library of models.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from i2v.errors import InvalidRequest

Fit = Literal["keep", "crop", "pad"]
PresetName = Literal["quick", "standard", "high", "extreme"]
Resolution = Literal["256p", "512p", "768p", "1024p"]

PROMPT_LIMIT = 2000  # characters
MAX_SEED = 2**32 - 1


def _clean_text(value: object) -> object:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text without NUL characters")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
            raise ValueError("a text of valid Unicode (no lone surrogates)")
    return value


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


Text = Annotated[str, Field(max_length=PROMPT_LIMIT), BeforeValidator(_clean_text)]
Number = BeforeValidator(_no_bool)
Side = Annotated[int, Field(ge=64, le=2048), Number]


class GenerationRequest(BaseModel):
    """What a person asks for. `None` means: as the preset, or the engine, has it.

    "512p" is an area of 512 x 512 pixels. `fps` is the playback rate and, clamped to what the model was trained on, its
    condition; `target_fps` overrides the condition alone. Sides are pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Text
    negative_prompt: Text | None = None
    preset: PresetName = "standard"
    resolution: Resolution | None = None
    fit: Fit = "keep"
    height: Side | None = None
    width: Side | None = None
    num_frames: Annotated[int, Field(ge=4, le=128), Number] | None = None
    fps: Annotated[int, Field(ge=1, le=60), Number] | None = None
    target_fps: Annotated[int, Field(ge=1, le=60), Number] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200), Number] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=30, allow_inf_nan=False), Number] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), Number] | None = None
    engine: str = "auto"
    gradient_checkpointing: bool = False

    @model_validator(mode="after")
    def _one_way_to_say_the_size(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise InvalidRequest("request.half_size")
        if self.height is not None and self.resolution is not None:
            raise InvalidRequest(
                "request.two_sizes", resolution=self.resolution, height=self.height, width=self.width
            )
        return self

    @classmethod
    def parse(cls, fields: dict[str, object]) -> Self:
        """Return the request that `fields` describe; `InvalidRequest` names the field, the value and what is allowed."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise invalid_field(error, tuple(cls.model_fields)) from None


def nearest_name(name: str, known: tuple[str, ...]) -> str:
    """Return the known name that `name` was most likely meant to be."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.0)), known[0])


def invalid_field(error: ValidationError, known: tuple[str, ...]) -> InvalidRequest:
    """Translate pydantic's first complaint into field, value and what is allowed. The value is shortened, never echoed whole."""
    first = error.errors(include_url=False, include_context=True)[0]
    name = ".".join(str(part) for part in first["loc"] if not isinstance(part, int)) or "request"
    if first["type"] == "extra_forbidden":
        return InvalidRequest(
            "request.unknown_field", field=name, nearest=nearest_name(name, known), allowed=", ".join(known)
        )
    context = first.get("ctx", {})
    kind, allowed = first["type"], first["msg"]
    bounds = {"greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}"}
    if kind == "missing":
        return InvalidRequest("request.missing_field", field=name)
    if kind in bounds:
        allowed = bounds[kind].format_map(context)
    elif kind == "literal_error":
        allowed = f"one of {context['expected']}"
    elif kind == "string_too_long":
        allowed = f"at most {context['max_length']} characters"
    elif kind == "value_error":
        allowed = str(context["error"])
    elif kind == "finite_number":
        allowed = "a finite number"
    return InvalidRequest("request.invalid", field=name, value=shown(first["input"]), allowed=allowed)


def shown(value: object) -> str:
    """Return a short, printable form of a value for a message: lone surrogates and long texts cannot break it."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return f"{text[:60]}... ({len(text)} characters)" if len(text) > 60 else text


@dataclass(frozen=True)
class Preset:
    """The numbers behind one of the four names. `area_side`: the side of the square with the clip's area, in pixels."""

    area_side: int
    num_frames: int
    num_inference_steps: int
    fps: int
    guidance_scale: float


@dataclass(frozen=True)
class EngineSpec:
    """What must be known about a model before it is loaded.

    Attributes:
        multiple: sides in pixels are multiples of this.
        native_area_side: larger requests are generated at this area and scaled up; `None` where any size is generated.
        trained_frames, trained_fps: smallest and largest that the weights were trained on.
        image_gain: factor on the first frame's features at the UNet's input. 2.0 for the published weights, which were
            trained with the features added twice (VGen, `unet_i2vgen.py`) while diffusers adds them once.
        sample_posterior: draw the first frame's latents from the VAE's posterior, unseeded, as stock diffusers does,
            instead of taking the mode. Only for parity with stock.
        preview_factors: five RGB rows: the linear map from four latent channels (and a constant) to colours in [0, 1].
        embedded: the weights ship inside the package.
        max_prompt_tokens: tokens the text encoder reads, start and end included.
    """

    name: str
    title: str
    implementation: str  # "module:Class"
    multiple: int
    trained_frames: tuple[int, int]
    trained_fps: tuple[int, int]
    default_negative_prompt: str
    preview_factors: tuple[tuple[float, float, float], ...]
    native_area_side: int | None = None
    image_gain: float = 1.0
    sample_posterior: bool = False
    max_prompt_tokens: int = 77
    clip_skip: int = 1
    requires_prompt: bool = True
    embedded: bool = False
    presets: dict[str, Preset] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceInfo:
    """Where a model runs: `type` "cpu" or "cuda", its name, and the memory it has in bytes."""

    type: Literal["cpu", "cuda"]
    name: str
    total_memory: int


@dataclass(frozen=True)
class MemoryPlan:
    """How a job uses the device.

    `decode_chunk`: frames that the VAE decodes at a time. `threads`: CPU threads, 0 for as many as torch finds.
    """

    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "float16", "bfloat16"]
    decode_chunk: int = 1
    threads: int = 0


@dataclass(frozen=True)
class Generation:
    """What is really run: every gap of the request filled, sizes settled. All sides in pixels.

    `width` and `height` are the video's, `generated_width` and `generated_height` the model's; they differ where an
    engine generates small and the frames are scaled up.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    generated_width: int
    generated_height: int
    fit: Fit
    num_frames: int
    fps: int
    target_fps: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    engine: str
