"""Rows of a batch as people write them: CSV or JSON Lines, each with a picture and any field of a request.

Owns which columns there are and where each row stands, for a complaint. Deliberately does not know files, nor
whether a field's value can be used: `GenerationRequest` does.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from i2v.core.errors import InvalidRequest
from i2v.core.fields import nearest_name, shown
from i2v.core.schema import GenerationRequest

FILES = (".csv", ".jsonl", ".ndjson")
PICTURE = "image"  # the column that every row has
_WITH_FILES = ("inputs", "sound")  # a row has one file, its picture
COLUMNS = (PICTURE, *(name for name in GenerationRequest.model_fields if name not in _WITH_FILES))


@dataclass(frozen=True)
class Listed:
    """A row: where it stands, its picture as it is written there, and its fields of a `GenerationRequest`."""

    place: str
    picture: str
    fields: dict[str, object]


def parse_rows(source: str, suffix: str, text: str) -> list[Listed]:
    """Return the rows of a file with this `text`.

    Args:
        source: what the file is called, for a complaint.
        suffix: one of `FILES`.
    Raises:
        InvalidRequest: `batch.*`.
    """
    return list(_of_csv(source, text) if suffix == ".csv" else _of_json_lines(source, text))


def _of_csv(source: str, text: str) -> Iterator[Listed]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or []]
        _check_columns(columns, source)
        reader.fieldnames = columns
        for number, cells in enumerate(reader, 1):
            place = _place(source, number)
            if None in cells or None in cells.values():
                raise _wrong(place, f"it has not as many cells as there are columns ({len(columns)})")
            filled = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
            if filled:  # spreadsheets leave empty rows
                yield _row(place, dict(filled))
    except csv.Error as error:
        reason = f"line {reader.line_num}: {error}"
        raise InvalidRequest("batch.unreadable", path=source, reason=reason) from error


def _of_json_lines(source: str, text: str) -> Iterator[Listed]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = _place(source, number)
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _wrong(place, f"it is no JSON ({error})") from error
        if not isinstance(fields, dict):
            raise _wrong(place, "it is no JSON object")
        _check_columns(list(fields), place)
        yield _row(place, {name: value for name, value in fields.items() if value is not None})


def _row(place: str, fields: dict[str, object]) -> Listed:
    picture = fields.pop(PICTURE, None)
    if not isinstance(picture, str):
        raise _wrong(place, f"it has no {PICTURE}")
    return Listed(place, picture, fields)


def _check_columns(columns: list[str], place: str) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise InvalidRequest(
                "batch.unknown_column",
                place=place,
                column=shown(name),
                nearest=nearest_name(name, COLUMNS),
                allowed=", ".join(COLUMNS),
            )
        if columns.count(name) > 1:
            raise _wrong(place, f"column {shown(name)} is there twice")


def _place(source: str, number: int) -> str:
    return f"{source}, row {number}"


def _wrong(place: str, reason: str) -> InvalidRequest:
    return InvalidRequest("batch.bad_row", place=place, reason=shown(reason, limit=300))
