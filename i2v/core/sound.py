"""The sound that a request wants beside the frames: how the file that comes with it is used.

Owns the fields and their bounds. Deliberately knows no file: its bytes travel beside the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.config import JsonDict

MAX_START = 3600.0  # seconds
MAX_FADE = 60.0  # seconds
MAX_VOLUME = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class _Between:
    """Bounds of a number that may stand as text, as flags have it; bools, NaN and infinity are none."""

    low: float
    high: float

    def __call__(self, value: object) -> float:
        allowed = f"a number from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(allowed)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise ValueError(allowed) from None
        if not self.low <= number <= self.high:
            raise ValueError(allowed)
        return number


@dataclass(frozen=True)
class Track:
    """How the sound file is used. Times in seconds.

    Attributes:
        start: where in the file the clip begins.
        fade_in, fade_out: how long it gets louder from the clip's first frame, and quieter up to its last.
        loop: it begins again at `start` where it is shorter than the clip; else silence follows.
        volume: a factor; 1 is a loudness of -16 LUFS, whatever the file has.
    """

    start: Annotated[float, BeforeValidator(_Between(0, MAX_START))] = 0.0
    fade_in: Annotated[float, BeforeValidator(_Between(0, MAX_FADE))] = 0.0
    fade_out: Annotated[float, BeforeValidator(_Between(0, MAX_FADE))] = 0.0
    loop: bool = False
    volume: Annotated[float, BeforeValidator(_Between(0, MAX_VOLUME))] = 1.0


def _reader(kind: type[T]) -> Callable[[object], object]:
    """Return what reads an object of `kind`, which a form has as JSON text, and refuses unknown names."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]

    def read(value: object) -> object:
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
