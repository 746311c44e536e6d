"""What can go wrong, and how it is said.

Every error and every notice is `{code, params, message}`: the code is stable and is what pages translate by,
the params are the values it is about, the message is the English sentence made from both. The sentences stand
in one table here, so that a code without a sentence cannot exist. This module knows nothing about requests,
pictures or models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

Param = str | int | float | bool | None

MESSAGES: dict[str, str] = {
    # request
    "request.unknown_field": "Unknown field {field!r}. Did you mean {nearest!r}? Known fields: {allowed}.",
    "request.invalid": "{field} = {value} is not accepted: {allowed}.",
    "request.missing_field": "{field} is missing.",
    "request.half_size": "height and width belong together: give both, or a resolution instead.",
    "request.two_sizes": (
        "Give either resolution ({resolution}) or height and width ({height} x {width}), not both."
    ),
    "request.blank_prompt": "prompt is blank: write what should happen, for example 'the camera pans left'.",
    "request.unknown_engine": "engine = {value} is not known: one of {allowed}.",
    # notices about the request
    "request.untrained_frames": (
        "{title} was trained on {low} to {high} frames; with {num_frames} the motion may drift."
    ),
    "request.scaled_up": (
        "{title} generates {generated_width} x {generated_height} pixels; the video is scaled up to"
        " {width} x {height}."
    ),
    "request.size_rounded": (
        "{width} x {height} is not a multiple of {multiple}: the model generates"
        " {generated_width} x {generated_height} pixels, which are scaled."
    ),
    "request.target_fps_clamped": (
        "The model knows {low} to {high} frames a second: its condition is {target_fps}, the video plays at"
        " {fps}."
    ),
    "request.gradient_checkpointing": (
        "gradient_checkpointing saves no memory when generating (it only helps training), so nothing was"
        " changed. What does save memory: a smaller resolution, fewer frames, decoding one frame at a time"
        " (decode_chunk: 1)."
    ),
    "prompt.truncated": "The model reads {limit} tokens of a prompt; this was cut off: {removed}",
    "prompt.negative_truncated": (
        "The model reads {limit} tokens of a negative prompt; this was cut off: {removed}"
    ),
    # settings
    "settings.unknown_key": "{source}: unknown setting {key!r}. Did you mean {nearest!r}?",
    "settings.invalid": "{source}: {key} = {value} is not accepted: {allowed}.",
    "settings.unreadable": "{source} cannot be read as settings: {reason}",
    # weights
    "weights.missing_folder": "{title}: no model folder at {path}. {fix}",
    "weights.missing_file": "{title}: {path} is missing from the model folder. Fetch the model again.",
    "weights.unreadable": "{title}: {path} cannot be read: {reason}. Fetch the file again.",
    "weights.missing_tensor": (
        "{path}: the tensor {tensor} is missing ({count} in all). The file is not of this model."
    ),
    "weights.unexpected_tensor": (
        "{path}: the tensor {tensor} is not known ({count} in all). The file is not of this model."
    ),
    "weights.misshapen_tensor": "{path}: the tensor {tensor} has shape {found}, expected {expected}.",
    "weights.wrong_class": "{path} describes {found}, expected {expected}. The folder is not of this model.",
    "device.no_cuda": "device = cuda, but no CUDA device can be used here. Set device to cpu or auto.",
    "decode.nan": "{count} frames decoded to NaN in {dtype} and were decoded again in float32.",
    "decode.nan_float32": (
        "The frames decoded to NaN even in float32: the latents are broken. Try another seed."
    ),
    # command line
    "job.interrupted": "Interrupted. Nothing was left behind.",
    "image.unreadable": "{path} cannot be read: {reason}.",
    "engine.out_of_memory": (
        "The device ran out of memory ({reason}). What helps: a smaller resolution, fewer frames,"
        " engine.decode_chunk: 1 in config.yaml."
    ),
    # image
    "image.empty": "The picture is empty (0 bytes). Choose the file again.",
    "image.too_many_bytes": "The picture has {bytes} bytes; at most {allowed} are accepted. Save it smaller.",
    "image.unknown_format": "This is not a readable picture. Save it in one of these formats: {allowed}.",
    "image.damaged": "The picture is damaged or incomplete ({reason}). Save or upload it again.",
    "image.too_large": "The picture is too large ({size}); at most {allowed} pixels fit. Scale it down.",
    "image.no_memory": "There is not enough memory to decode the picture. Scale it down.",
    "image.too_small": "The picture is {size} pixels; each side needs at least {allowed}. Use a larger one.",
    "image.too_narrow": "The picture is {size}: one side may be at most {allowed} times the other. Cut it.",
    "image.animated": "The file holds several frames or pages; the first one is used.",
    "image.transparent": "The picture is partly transparent; it was put on the background {background}.",
    "image.profile_ignored": "The picture's colour profile is broken; it was ignored, so colours may differ.",
    "image.orientation_unknown": "The picture's EXIF data is broken. If it lies on its side, turn it.",
    "image.upscaled": "The picture is smaller than {size} and was enlarged {factor} times. Use a larger one.",
    "image.cropped": "The picture ({source}) was cropped: {left} pixels at the left, {top} at the top, "
    "{right} at the right and {bottom} at the bottom. Use fit = pad to keep all of it.",
    "image.padded": "The picture was padded to {size}: {left} pixels at the left, {top} at the top, {right} "
    "at the right and {bottom} at the bottom. Use fit = crop to fill the frame.",
    # video
    "output.bad_extension": "The output {path} does not end in .mp4. Name a file that does.",
    "output.bad_name": "The output name {path} cannot be used: {reason}. Choose another name.",
    "output.exists": "The output {path} exists already. Choose another name, or pass --force to replace it.",
    "output.not_a_file": "The output {path} is a folder. Name a file in it.",
    "output.not_a_folder": "The output folder {path} is not a folder. Choose another one.",
    "output.not_writable": "Nothing can be written to the folder {path} ({reason}). Choose another one, or "
    "change its permissions.",
    "output.no_space": "The disk of {path} has {free_mib} MiB left, {needed_mib} are needed. Free some.",
    "encode.no_ffmpeg": "No ffmpeg was found ({reason}). Install imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE.",
    "encode.bad_input": "{field} = {value} cannot be encoded: {allowed}.",
    "encode.no_frames": "No frame was given, so there is no video to write.",
    "encode.no_space": "The disk of {path} became full while writing ({reason}). Free some space.",
    "encode.failed": "The video could not be written to {path}: {reason}.",
    "encode.frames_lost": "{found} of {expected} frames arrived in the video; it was removed. Try again.",
    "encode.mismatch": "The video came out with {field} = {found} instead of {expected}; it was removed.",
    "encode.broken": "The video {path} cannot be decoded: {reason}.",
}


def printable(text: str) -> str:
    """Return `text` with escapes for what breaks a line, a terminal or UTF-8, e.g. lone surrogates."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _encodable(value: Param) -> Param:
    """Escape lone surrogates, which names of files can hold: no reply or log could be written with them."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def render(code: str, params: dict[str, Param]) -> str:
    """Return the English sentence for `code`; a missing code or parameter is a bug (`KeyError`)."""
    return MESSAGES[code].format_map(params)


@dataclass(frozen=True)
class Notice:
    """Something the person should know although the job goes on, e.g. that a prompt was cut off."""

    code: str
    params: dict[str, Param]

    @property
    def message(self) -> str:
        return render(self.code, self.params)

    def to_dict(self) -> dict[str, object]:
        return {"code": self.code, "params": self.params, "message": self.message}


class I2VError(Exception):
    """Base of all errors that a person is meant to read. `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, **params: Param) -> None:
        self.code = code
        self.params = {name: _encodable(value) for name, value in params.items()}
        self.message = render(code, self.params)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Callable[[], I2VError], tuple[()]]:
        """Let the error travel between processes: by default, pickle would pass the message as the code."""
        return partial(type(self), self.code, **self.params), ()

    def to_dict(self) -> dict[str, object]:
        return {"code": self.code, "params": self.params, "message": self.message}


class InvalidRequest(I2VError):
    """The request, the picture or a setting is wrong; nothing was started."""

    exit_code = 2


class ModelUnavailable(I2VError):
    """The weights are missing, incomplete or do not fit the engine."""


class InsufficientMemory(I2VError):
    """The job does not fit the device, whatever the options."""


class EncodeError(I2VError):
    """The video could not be written; carries ffmpeg's own words."""


class Cancelled(I2VError):
    """The person stopped the job."""

    exit_code = 130


class QueueFull(I2VError):
    """The service takes no more jobs for now."""
