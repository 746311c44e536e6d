"""Kinds of fields that requests are made of, and what is said of a value that is refused.

What the fields mean is `schema`'s business.
"""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field

from i2v.core.errors import InvalidRequest, printable

PROMPT_LIMIT = 2000  # characters
MAX_FRAMES = 3600


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


def json_list(text: str, allowed: str) -> object:
    """Read a JSON list out of a text; `ValueError` with what is `allowed` where there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(allowed) from None


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that `name` was most likely meant to be; one that contains it comes first."""
    name, known = name[:100], list(known)
    containing = [candidate for candidate in known if name in candidate]
    return difflib.get_close_matches(name, containing or known, n=1, cutoff=0.0)[0]


def refuse_unknown(given: Iterable[object], known: Iterable[str], field: str, nearest: str) -> None:
    """Raise `InvalidRequest` for the first name in `given` that a part of `field` does not have."""
    if unknown := set(given) - {*known}:
        name, allowed = shown(f"{field}.{min(map(str, unknown))}"), ", ".join(known)
        raise InvalidRequest(
            "request.unknown_field", field=name, nearest=f"{field}.{nearest}", allowed=allowed
        )


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
