"""JSON that another version of the program may have written, read back into data classes.

What this version does not know is passed over, and what is missing has its default; a value of another type,
or one that has no default and is missing, makes the whole unreadable. Whoever stores a thing keeps its JSON,
so that nothing is lost by reading. Deliberately does not know which classes there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from functools import cache
from typing import Any, NoReturn, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def parse_json(text: str) -> object:
    """Return what the text says; raise `ValueError` where it is no JSON, or none that a reply could carry."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_as(kind: type[T], value: object) -> T:
    """Return parsed JSON as a data class `kind` (lists become tuples where it has those).

    Raises:
        ValueError: naming the first field that cannot be read.
    """
    try:
        read: T = _adapter(cast("Hashable", kind)).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['msg']}" if field else str(first["msg"])) from None
    return read


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)
