"""What every error and notice says, by its code: one file for each language in `catalogue/`.

A code has one row in each file, so a new language is one more file. Read when it is first needed. What an
error is, `errors` says; who reads the sentence, the front ends know.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter

from i2v.core.durations import duration


@dataclass(frozen=True)
class Entry:
    """One row. Placeholders in braces are the params of the error or notice; `{seconds:time}` says a time.

    Attributes:
        message: what happened, in the words of the API and the command line.
        hint: what to do, where the message does not say it; "" where it does.
        page: what the page says instead of both, in the words of its controls; "" where it says the same.
        status: HTTP's; `None` where the kind of error decides. This and the next two stand in English alone.
        field: the part of a request that the error is about, where its params do not say.
        value: which of its params is that field's value.
    """

    message: str
    hint: str = ""
    page: str = ""
    status: int | None = None
    field: str | None = None
    value: str = "value"


@cache
def catalogue(language: str = "en") -> Mapping[str, Entry]:
    """Return the rows by code. `language` is one of `i2v.core.schema.Language`."""
    text = files(__package__).joinpath("catalogue", f"{language}.toml").read_text("utf-8")
    families = tomllib.loads(text).items()
    return {f"{family}.{name}": Entry(**row) for family, rows in families for name, row in rows.items()}


def hint(code: str) -> str | None:
    """Return what to do about the error, in English; `None` where its message says it."""
    entry = catalogue().get(code)
    return entry.hint or None if entry else None


def fill(sentence: str, params: Mapping[str, object], language: str = "en") -> str:
    """Return the sentence with its params; one that is missing is a bug (`KeyError`)."""
    return _Words(language).vformat(sentence, (), params)


class _Words(Formatter):
    """`str.format` that also knows `{name:time}`: seconds, in the words of a language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def format_field(self, value: object, format_spec: str) -> str:
        if format_spec != "time":
            return str(super().format_field(value, format_spec))
        return duration(value, self._language) if isinstance(value, int | float) else str(value)
