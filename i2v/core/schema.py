"""What a person asks for, and what is really run.

`GenerationRequest` is what was asked, checked once; `Generation` is what is run, with every gap filled. What
an engine can be asked for is `engine_spec`'s business. This module reads no file, touches no device and knows
no library of models.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, field
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

from i2v.core.bounds import Within as Within  # for those who import it from here
from i2v.core.crop import Crop, CropPart
from i2v.core.errors import InvalidRequest, printable
from i2v.core.sound import Narration, NarrationField, Track, TrackField
from i2v.core.story import MAX_SCENES, MAX_SECONDS, Segment, scene_frames, segments_of
from i2v.core.styles import StyleField, StyleName

Fit = Literal["keep", "crop", "pad"]
PresetName = Literal["quick", "standard", "high", "extreme"]
Resolution = Literal["256p", "512p", "768p", "1024p"]
Language = Literal["en", "zh-CN"]
StorageDtype = Literal["auto", "float8_e4m3fn"]
Offload = Literal["none", "encoders", "model"]
Switch = Literal["auto", "off"]
Speed = Literal["auto", "exact", "fast"]
InputRole = Literal["image", "last_image", "keyframe", "motion_mask", "style_image"]
UpscalerName = Literal["lanczos", "span", "real-esrgan"]
Upscaling = Literal["auto", UpscalerName]
InterpolationName = Literal["motion", "blend"]
Interpolation = Literal["auto", InterpolationName]

PROMPT_LIMIT = 2000  # characters
MAX_SEED = 2**32 - 1
MAX_INPUTS = 16  # pictures besides the image
MAX_LORAS = 8
MAX_FRAMES = 3600
MAX_OUTPUT_FPS = 120
RANDOM_SEED = -1  # how other programs ask for a seed that is drawn


def clean_text(value: object) -> object:
    """Refuse (`ValueError`) what no text may hold and what is no text at all."""
    if not isinstance(value, str):
        raise ValueError("a text")
    if "\0" in value:
        raise ValueError("a text without NUL characters")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text of valid Unicode (no lone surrogates)") from None
    return value


Text = Annotated[str, Field(max_length=PROMPT_LIMIT), BeforeValidator(clean_text)]
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


def _known_parts(inputs: object) -> object:
    """Refuse what an `InputPicture` does not have; stored ones may be of a later version, and have more."""
    for each in inputs if isinstance(inputs, list | tuple) else ():
        if not isinstance(each, dict):
            continue
        role = each.get("role")
        if not isinstance(role, str) or role not in _PARTS:
            allowed = f"one of {', '.join(_PARTS)}"
            raise InvalidRequest("request.invalid", field="inputs.role", value=shown(role), allowed=allowed)
        if unknown := each.keys() - {*_PARTS[role]}:
            raise InvalidRequest(
                "request.unknown_field",
                field=shown(f"inputs.{sorted(map(str, unknown))[0]}"),
                nearest="inputs.role",
                allowed=", ".join(_PARTS[role]),
            )
    return inputs


OptionValues = Annotated[
    dict[Text, JsonValue], BeforeValidator(_read_options), AfterValidator(_clean_options)
]


@dataclass(frozen=True)
class LastImage:
    """The picture to end with."""

    role: Literal["last_image"]


@dataclass(frozen=True)
class Keyframe:
    """A picture for the frame of this number; frame 0 is `image`."""

    role: Literal["keyframe"]
    frame: Annotated[int, Within(1, MAX_FRAMES - 1)]


@dataclass(frozen=True)
class MotionMask:
    """A picture that is white where the model acts, and black where only the camera moves; of any size."""

    role: Literal["motion_mask"]


@dataclass(frozen=True)
class StyleImage:
    """A picture whose look the clip is to have; of any size, and of no frame."""

    role: Literal["style_image"]


# A picture that comes with a request besides `image`, the first frame; its bytes travel beside this.
InputPicture = Annotated[LastImage | Keyframe | MotionMask | StyleImage, Field(discriminator="role")]
_PARTS = {
    "last_image": ("role",),
    "keyframe": ("role", "frame"),
    "motion_mask": ("role",),
    "style_image": ("role",),
}


@dataclass(frozen=True)
class Lora:
    """A LoRA by its name in the folders of LoRAs. `strength`: 1 as it was trained, below 0 the other way.

    `strength_2` is that in the second expert of a model that has two. `None`: the same in both, unless the
    file's name says which of them it is for ("high_noise", "low_noise").
    """

    name: Text
    strength: Annotated[float, Within(-4, 4)] = 1.0
    strength_2: Annotated[float, Within(-4, 4)] | None = None


LORA_PARTS = ("name", "strength", "strength_2")


_LORA_LIST = "a list of names, each with its strength: name:0.8"
_SCENE_LIST = "scenes, each with its seconds and its prompt, one a line: 4: the camera pans left"


def _read_loras(value: object) -> object:
    """Read "name:0.8" or "name:0.8:0.5" for a LoRA, and one text for all: a JSON list, or with commas."""
    if isinstance(value, str):
        value = _json_list(value, _LORA_LIST) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, list | tuple):
        return value
    read = [_lora_of(each.strip()) if isinstance(each, str) else each for each in value if each != ""]
    for each in read:
        if isinstance(each, dict) and (unknown := each.keys() - set(LORA_PARTS)):
            raise InvalidRequest(
                "request.unknown_field",
                field=shown(f"loras.{min(map(str, unknown))}"),
                nearest="loras.name",
                allowed=", ".join(LORA_PARTS),
            )
    return read


def _json_list(text: str, allowed: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(allowed) from None


def _lora_of(text: str) -> dict[str, str]:
    parts = (part.strip() for part in text.split(":", 2))
    return dict(zip(LORA_PARTS, parts, strict=False))


def _each_once(loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
    if len({lora.name for lora in loras}) < len(loras):
        raise ValueError("each LoRA once")
    return loras


Loras = Annotated[tuple[Lora, ...], BeforeValidator(_read_loras), AfterValidator(_each_once)]


@dataclass(frozen=True)
class Scene:
    """A part of a story. An empty `prompt` is that of the request."""

    seconds: Annotated[float, Within(0.1, MAX_SECONDS)]
    prompt: Text = ""


def _read_story(value: object) -> object:
    """Read "4: the camera pans left" for a scene, and one text for all: a JSON list, or a scene a line."""
    if isinstance(value, str):
        value = _json_list(value, _SCENE_LIST) if value.lstrip().startswith("[") else value.splitlines()
    if not isinstance(value, list | tuple):
        return value
    lines = [each for each in value if not (isinstance(each, str) and not each.strip())]
    read = [_scene_of(each) if isinstance(each, str) else each for each in lines]
    for each in read:
        if isinstance(each, dict) and (unknown := each.keys() - {"seconds", "prompt"}):
            raise InvalidRequest(
                "request.unknown_field",
                field=shown(f"story.{min(map(str, unknown))}"),
                nearest="story.prompt",
                allowed="seconds, prompt",
            )
    return read


def _scene_of(text: str) -> dict[str, str]:
    seconds, _, prompt = text.replace("\uff1a", ":", 1).partition(":")
    return {"seconds": seconds.strip(), "prompt": prompt.strip()}


def _not_too_long(story: tuple[Scene, ...]) -> tuple[Scene, ...]:
    if sum(scene.seconds for scene in story) > MAX_SECONDS:
        raise ValueError(f"at most {MAX_SECONDS} seconds in all")
    return story


Story = Annotated[tuple[Scene, ...], BeforeValidator(_read_story), AfterValidator(_not_too_long)]


class GenerationRequest(BaseModel):
    """What a person asks for. `None` means: as the preset, or the engine, has it.

    The bounds are the widest that any engine has; `i2v.pipeline.checks` holds a request to those of its own.

    "512p" is an area of 512 x 512 pixels. `fps` is the playback rate and, clamped to what the model was
    trained on, its condition; `target_fps` overrides the condition alone. Sides are pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    inputs: Annotated[tuple[InputPicture, ...], BeforeValidator(_known_parts)] = Field(
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


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that `name` was most likely meant to be; one that contains it comes first."""
    name, known = name[:100], list(known)
    containing = [candidate for candidate in known if name in candidate]
    return difflib.get_close_matches(name, containing or known, n=1, cutoff=0.0)[0]


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
    parts = (part for part in first["loc"] if not isinstance(part, int) and part not in _PARTS)
    name = ".".join(map(str, parts)) or "request"
    if first["type"] == "missing":
        return InvalidRequest("request.missing_field", field=name)
    words = _ALLOWED.get(first["type"])
    allowed = (
        words.format_map(first.get("ctx", {})) if words else first["msg"].removeprefix("Input should be ")
    )
    return InvalidRequest("request.invalid", field=name, value=shown(first["input"]), allowed=allowed)


def shown(value: object, limit: int = 60) -> str:
    """Return a short form of a value for a message: whatever it is, the line it stands in can be printed."""
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except ValueError:  # an int beyond what Python turns into digits
        return f"a number of over {limit} digits"
    short = printable(text[:limit])
    if len(text) > limit:
        return f"{short}... ({len(text)} characters)"
    return short if short.strip() == short != "" else f"'{short}'"


@dataclass(frozen=True)
class DeviceInfo:
    """Where a model runs: `type` "cpu" or "cuda", its name, and the memory it has in bytes.

    `free_memory` of the device and `free_ram` of the CPU are what others leave to us, in bytes: what our own
    process holds already counts as free. `None`: not measured. `id` tells the devices of a machine apart
    ("cuda:1", "cpu"); "" where nobody asks. `share` is how many workers use the device: each leaves the
    others their part of its memory, and computes with `threads` CPU threads, 0 for as many as torch finds.
    `models` are the engines whose weights can be had there; `None`: those that are on this machine.
    """

    type: Literal["cpu", "cuda"]
    name: str
    total_memory: int
    free_memory: int | None = None
    free_ram: int | None = None
    id: str = ""
    share: int = 1
    threads: int = 0
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """How a job uses the device. `dtype`, `storage_dtype` and `vae_tiling` alone change more than rounding.

    Attributes:
        decode_chunk: frames that the VAE decodes at a time; 0 for what is fast at their size.
        threads: CPU threads, 0 for as many as torch finds.
        cfg_passes: passes of the UNet a guided step: 1 for both rows at once, 2 for one after the other.
        offload: "model" keeps each part of the model in CPU memory but for the phase that computes with it,
            "encoders" only what encodes the prompt and the picture.
        chunk_tokens: tokens that a transformer of the UNet takes at a time; 0 for what is fast.
        vae_tiling: decode large frames in tiles: less memory, and frames that differ a little.
        compile: run the UNet through `torch.compile`.
        kernels: "off" computes by torch's operations alone, where a device has faster ones.
        cuda_graph: "off" starts each kernel of each step anew, where a device can replay a step.
        storage_dtype: "float8_e4m3fn" keeps the weights of large layers so, half as large, and casts them to
            `dtype` when they compute; settled when an engine is loaded.
    """

    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "float16", "bfloat16"]
    decode_chunk: int = 0
    threads: int = 0
    cfg_passes: int = 1
    offload: Offload = "none"
    chunk_tokens: int = 0
    vae_tiling: bool = False
    compile: bool = False
    kernels: Switch = "auto"
    cuda_graph: Switch = "auto"
    storage_dtype: StorageDtype = "auto"


@dataclass(frozen=True)
class PlannedMemory:
    """How a job was to use the device when it was submitted, and which device that was."""

    memory: MemoryPlan
    device_type: Literal["cpu", "cuda"]
    device_name: str


@dataclass(frozen=True)
class Generation:
    """What is really run: every gap of the request filled, sizes settled. All sides in pixels.

    `width` and `height` are the video's, `generated_width` and `generated_height` the model's; they differ
    where an engine generates small and the frames are scaled up, by `upscaler`. With `speed` "fast",
    `num_inference_steps` is the quality: that of so many steps, made with fewer (`i2v.core.schedules`); 0
    where the engine has no steps. A `guidance_scale` of 1 is none. `inputs` are the pictures besides the
    image, in the order in which they are given; `options` are what only the family of the engine has, all
    gaps filled. `crop` is the part of each picture that is used, `None` for all of it; `fit` is about that.
    `strength` is the part of the steps that are made, the last ones: below 1 they begin with noised frames
    instead of noise (diffusers' name for it). `checkpoint` and `loras` are names in the folders of such files
    (`i2v.weights.added_files`); empty: the model's own weights. `story`: the scenes of a clip that is longer
    than the engine makes at once, each with its prompt. It is made in `segments` of `num_frames`, neighbours
    of which have `overlap` frames in common. A `loop` has so many frames twice, at both ends, and shows
    them once; without an `overlap` it goes there and back, unless it is the engine's own, without
    `made_frames`. Of both, `made_frames` are shown. With `interpolation`, the video has `output_fps`: frames
    between those that are generated are computed
    (`i2v.media.interpolation`). With `source`, the SHA-256 of a clip's file, its frames are taken instead of
    generated ones: all else says how those were generated. Unless it `extends` that clip: then the first
    scenes of the `story` are its own, so many frames at `fps`, and only those that follow are made. `sound`
    is how the sound file is used that came with the request, `None` where none did; `narration` what is
    spoken. The words of the `style` are in both prompts.
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
    speed: Literal["exact", "fast"] = "exact"
    upscaler: UpscalerName = "lanczos"
    inputs: tuple[InputPicture, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    crop: Crop | None = None
    strength: float = 1.0
    checkpoint: str = ""
    loras: tuple[Lora, ...] = ()
    sound: Track | None = None
    narration: Narration | None = None
    story: tuple[Scene, ...] = ()
    loop: bool = False
    made_frames: int = 0
    overlap: int = 0
    correct_drift: bool = False
    output_fps: int | None = None
    interpolation: InterpolationName | None = None
    source: str = ""
    extends: int = 0
    style: StyleName | None = None

    @property
    def total_frames(self) -> int:
        """How many frames are shown, in all segments together, with those that are there already."""
        return self.made_frames or self.num_frames

    @property
    def fresh_frames(self) -> int:
        """How many of them are not there yet."""
        return self.total_frames - self.extends

    @property
    def seconds(self) -> float:
        """How long they last."""
        return self.total_frames / self.fps

    @property
    def is_enhanced(self) -> bool:
        """Whether the frames are those of a finished clip alone, and no engine is at work."""
        return bool(self.source) and not self.extends

    @property
    def new_scenes(self) -> tuple[tuple[Scene, int], ...]:
        """The scenes of a story that are made, with the frames of each: all, unless it extends a clip."""
        counts = scene_frames([scene.seconds for scene in self.story], self.fps)
        begin, found = 0, list[tuple[Scene, int]]()
        for scene, count in zip(self.story, counts, strict=True):
            if begin >= self.extends:
                found.append((scene, count))
            begin += count
        return tuple(found)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of a story that are made; of any other clip, the one that it is."""
        if not self.story:
            return (Segment(0, 0, 0, self.num_frames),)
        counts = [count for _, count in self.new_scenes]
        return segments_of(counts, self.num_frames, self.overlap, self.extends)

    @property
    def video_fps(self) -> int:
        """Frames a second of the video."""
        return self.output_fps or self.fps

    @property
    def video_frames(self) -> int:
        """How many frames the video has: it is as long as what is generated."""
        return -(-self.total_frames * self.video_fps // self.fps)
