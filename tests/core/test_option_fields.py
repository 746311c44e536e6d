"""Options as fields: what every kind of schema becomes, and how its bounds are said."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from i2v.core.option_fields import OptionField, option_fields, shown_number, shown_range
from tests.contrary import ContraryOptions

FIELDS = {field.name: field for field in option_fields(ContraryOptions)}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Odd(BaseModel):
    """What options seldom are."""

    colour: Colour
    only: Literal["this"] = "this"
    either: int | str | None = None
    least: float = Field(2, ge=0.5)


@pytest.mark.parametrize(("name", "kind", "allowed", "default"), [
    ("strength", "number", "0 to 2", 1.0), ("shift", "number", "-1 to 1", None),
    ("bucket", "integer", "1 to 255", 127), ("path", "choice", "line | arc", None),
    ("mirror", "boolean", "true | false", False), ("loop", "boolean", "true | false", None),
    ("words", "text", "text", None), ("points", "json", "json", None),
])  # fmt: skip
def test_each_kind_of_field_is_known_with_what_it_takes(
    name: str, kind: str, allowed: str, default: object
) -> None:
    field = FIELDS[name]
    assert (field.kind, field.allowed, field.default, field.is_required) == (kind, allowed, default, False)


def test_the_title_and_the_description_are_the_schemas_and_a_title_is_made_of_a_name() -> None:
    assert (FIELDS["strength"].title, FIELDS["strength"].description) == ("Strength", "How much. 0: none.")
    assert FIELDS["bucket"].title == "Bucket"


def test_references_single_values_and_what_no_widget_holds_are_read_too() -> None:
    colour, only, either, least = option_fields(Odd)
    assert (colour.kind, colour.choices, colour.is_required) == ("choice", ("red", "blue"), True)
    assert (only.kind, only.choices) == ("choice", ("this",))
    assert either.kind == "json"
    assert (least.low, least.high, least.allowed) == (0.5, None, "at least 0.5")


@pytest.mark.parametrize(("kind", "allowed"), [("number", "a number"), ("integer", "an integer")])
def test_a_number_without_bounds_is_any_number(kind: Literal["number", "integer"], allowed: str) -> None:
    assert OptionField("x", "X", "", kind).allowed == allowed


def test_whole_numbers_are_said_as_such_however_large() -> None:
    assert [shown_number(value) for value in (64.0, 0.5, -1, 4294967295.0)] == [
        "64",
        "0.5",
        "-1",
        "4294967295",
    ]
    assert [shown_range(64.0, 4096.0), shown_range(None, 4.0), shown_range(None, None)] == [
        "64 to 4096", "at most 4", "",
    ]  # fmt: skip
