"""The sound that a request wants beside the frames: how its file is used, and what is spoken.

Owns the fields and their bounds. Deliberately knows no file and no voice: bytes travel beside the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.config import JsonDict

from i2v.core.bounds import Within

MAX_START = 3600  # seconds
MAX_FADE = 60  # seconds
MAX_VOLUME = 2
MAX_TEXT = 1000  # characters that are spoken: over a minute

SpokenLanguage = Literal["auto", "en", "zh-CN"]
_VOICE = re.compile(r"[\w][\w.+-]{0,79}|")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")

T = TypeVar("T")


@dataclass(frozen=True)
class Track:
    """How the sound file is used. Times in seconds.

    Attributes:
        start: where in the file the clip begins.
        fade_in, fade_out: how long it gets louder from the clip's first frame, and quieter up to its last.
        loop: it begins again at `start` where it is shorter than the clip; else silence follows.
        volume: a factor; 1 is a loudness of -16 LUFS, whatever the file has.
    """

    start: Annotated[float, Within(0, MAX_START)] = 0.0
    fade_in: Annotated[float, Within(0, MAX_FADE)] = 0.0
    fade_out: Annotated[float, Within(0, MAX_FADE)] = 0.0
    loop: bool = False
    volume: Annotated[float, Within(0, MAX_VOLUME)] = 1.0


def _spoken(value: object) -> str:
    allowed = f"a text of 1 to {MAX_TEXT} characters"
    if not isinstance(value, str) or "\0" in value or not 1 <= len(value.strip()) <= MAX_TEXT:
        raise ValueError(allowed)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text of valid Unicode (no lone surrogates)") from None
    if not any(letter.isalnum() for letter in value):
        raise ValueError("a text with something that can be spoken")
    return value.strip()


def _voice(value: object) -> str:
    if not isinstance(value, str) or not _VOICE.fullmatch(value.strip()):
        raise ValueError("the name of a voice, or empty for espeak-ng")
    return value.strip()


@dataclass(frozen=True)
class Narration:
    """A text that is spoken, from the first frame on.

    Attributes:
        language: "auto" is told by the text; a `Generation` has it settled. Piper's voices have one of their
            own.
        voice: the name of a voice of Piper, in the folder of voices; "" is espeak-ng.
        fit: "hold" speaks at a natural speed, and the last frame stays as long as is spoken; "speed" has the
            speech fill the clip, faster or slower within limits.
        volume: a factor; 1 is a loudness of -16 LUFS.
    """

    text: Annotated[str, BeforeValidator(_spoken)]
    language: SpokenLanguage = "auto"
    voice: Annotated[str, BeforeValidator(_voice)] = ""
    fit: Literal["hold", "speed"] = "hold"
    volume: Annotated[float, Within(0, MAX_VOLUME)] = 1.0

    def settled(self) -> Narration:
        """Return the same with the language that it will be spoken in."""
        if self.language != "auto":
            return self
        return replace(self, language="zh-CN" if _HAN.search(self.text) else "en")


def _reader(kind: type[T], sole: str = "") -> Callable[[object], object]:
    """Return what reads an object of `kind`, which a form has as JSON text, and refuses unknown names.

    sole: the field that any other text is.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]

    def read(value: object) -> object:
        if isinstance(value, str) and sole and value.strip() and not value.lstrip().startswith("{"):
            return {sole: value}
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else None
            except (ValueError, RecursionError):
                raise ValueError("a JSON object") from None
        if isinstance(value, dict) and (unknown := [name for name in value if name not in known]):
            raise ValueError(f"an object of {', '.join(known)}, without {str(unknown[0])[:60]!r}")
        return value

    return read


def _number(low: float, high: float, default: float, description: str) -> JsonDict:
    return {
        "type": "number",
        "minimum": low,
        "maximum": high,
        "default": default,
        "description": description,
    }


_TRACK_SCHEMA: JsonDict = {
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "start": _number(0, MAX_START, 0, "seconds of the file that are left out"),
                "fade_in": _number(0, MAX_FADE, 0, "seconds"),
                "fade_out": _number(0, MAX_FADE, 0, "seconds, up to the clip's end"),
                "loop": {"type": "boolean", "default": False, "description": "repeat a short file"},
                "volume": _number(0, MAX_VOLUME, 1, "1: a loudness of -16 LUFS"),
            },
        },
        {"type": "null"},
    ]
}
TrackField = Annotated[
    Track | None,
    BeforeValidator(_reader(Track)),
    WithJsonSchema(_TRACK_SCHEMA),
    Field(description="how the sound in sound_file is used; without that file there is none"),
]

_NARRATION_SCHEMA: JsonDict = {
    "anyOf": [
        {
            "type": "object",
            "required": ["text"],
            "additionalProperties": False,
            "properties": {
                "text": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
                "language": {"type": "string", "enum": list(get_args(SpokenLanguage)), "default": "auto"},
                "voice": {"type": "string", "default": "", "description": "of Piper; empty: espeak-ng"},
                "fit": {
                    "type": "string",
                    "enum": ["hold", "speed"],
                    "default": "hold",
                    "description": "hold the last frame as long as is spoken, or fit the speed to the clip",
                },
                "volume": _number(0, MAX_VOLUME, 1, "1: a loudness of -16 LUFS"),
            },
        },
        {"type": "null"},
    ]
}
NarrationField = Annotated[
    Narration | None,
    BeforeValidator(_reader(Narration, "text")),
    WithJsonSchema(_NARRATION_SCHEMA),
    Field(description="a text that is spoken by a synthetic voice"),
]
