"""The part of a picture that a clip is made of, chosen by whoever asks for it.

Owns how it is written, which parts are allowed and which pixels they are. Deliberately knows no picture: the
same part of another one is as good.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BeforeValidator, WithJsonSchema
from pydantic.config import JsonDict

LEAST = 0.05  # of a side
_ALLOWED = (
    "left, top, right and bottom as parts of the picture from 0 to 1, such as 0.1,0,0.9,1, with at least"
    f" {LEAST} between opposite sides; or a shape such as 16:9"
)
_SHAPE = re.compile(r"[1-9]\d?:[1-9]\d?")
_NAMES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Crop:
    """What is kept of an upright picture: its sides, as parts of the width and the height, from 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def read(cls, value: object) -> Self | str | None:
        """Return what a form, a flag or JSON means: "0.1,0,0.9,1", an object with the four sides, or "16:9".

        A shape is returned as text. Raises `ValueError` with what is allowed.
        """
        if value is None or isinstance(value, cls):
            return value
        if isinstance(value, str) and _SHAPE.fullmatch(value.strip()):
            return value.strip()
        sides = _sides(value)
        numbers = [_number(sides.get(name)) for name in _NAMES]
        if sides.keys() - set(_NAMES) or any(not 0 <= number <= 1 for number in numbers):
            raise ValueError(_ALLOWED)
        found = cls(*numbers)
        if min(found.right - found.left, found.bottom - found.top) < LEAST - 1e-9:
            raise ValueError(_ALLOWED)
        return found

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) in whole pixels of a picture of `size`: at least one a side."""
        left, right = _pixels(self.left, self.right, size[0])
        top, bottom = _pixels(self.top, self.bottom, size[1])
        return left, top, right, bottom

    def __str__(self) -> str:
        return ",".join(f"{getattr(self, name):.6g}" for name in _NAMES)


def settled(crop: Crop | str | None, size: tuple[int, int]) -> Crop | None:
    """Return the part of a picture of `size` that a request means; `None`: all of it."""
    if isinstance(crop, str):
        return shaped(crop, size)
    return None if crop == Crop(0, 0, 1, 1) else crop


def shaped(
    shape: str, size: tuple[int, int], centre: tuple[float, float] = (0.5, 0.5), within: Crop | None = None
) -> Crop | None:
    """Return the largest part of a `shape` such as "16:9", as near to `centre` as there is room.

    within: the part is no larger than the least that holds this one. `None`: less than a pixel would be cut.
    """
    across, down = (int(side) for side in shape.split(":"))
    aspect = across / down * size[1] / size[0]  # of the part, where the picture is a square
    width, height = min(1.0, aspect), min(1.0, 1 / aspect)
    if within is not None:
        scale = max((within.right - within.left) / width, (within.bottom - within.top) / height)
        scale = min(1.0, max(scale, LEAST / min(width, height)))
        width, height = scale * width, scale * height
    if (1 - width) * size[0] < 1 and (1 - height) * size[1] < 1:
        return None
    left, top = (
        round(min(max(middle - side / 2, 0), 1 - side), 6)
        for middle, side in zip(centre, (width, height), strict=True)
    )
    return Crop(left, top, min(1, round(left + width, 6)), min(1, round(top + height, 6)))


def kept_size(size: tuple[int, int], crop: Crop | None) -> tuple[int, int]:
    """Return the (width, height) of what is kept of a picture of `size`; without a crop, all of it."""
    if crop is None:
        return size
    left, top, right, bottom = crop.box(size)
    return right - left, bottom - top


def _sides(value: object) -> dict[str, object]:
    if isinstance(value, str):
        parts = value.split(",")
        if len(parts) == len(_NAMES) and "{" not in value:
            return dict(zip(_NAMES, parts, strict=True))
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(_ALLOWED) from None
    if not isinstance(value, dict):
        raise ValueError(_ALLOWED)
    return {str(name): side for name, side in value.items()}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(_ALLOWED)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(_ALLOWED) from None
    return number if math.isfinite(number) else -1.0


def _pixels(first: float, last: float, length: int) -> tuple[int, int]:
    begin = min(round(first * length), length - 1)
    return begin, max(round(last * length), begin + 1)


_SIDE: JsonDict = {"type": "number", "minimum": 0, "maximum": 1}
_SCHEMA: JsonDict = {
    "anyOf": [
        {
            "type": "object",
            "properties": dict.fromkeys(_NAMES, _SIDE),
            "required": list(_NAMES),
            "additionalProperties": False,
        },
        {"type": "string", "pattern": f"^{_SHAPE.pattern}$"},
        {"type": "null"},
    ]
}
CropPart = Annotated[Crop | str | None, BeforeValidator(Crop.read), WithJsonSchema(_SCHEMA)]
