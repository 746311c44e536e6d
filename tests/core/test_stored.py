"""JSON of other versions is read as far as it is understood, and refused by name where it is not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, PlannedMemory
from i2v.core.stored import parse_json, read_as


@dataclass(frozen=True)
class Part:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Whole:
    kind: Literal["a", "b"]
    parts: tuple[Part, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    size: int | None = None


def test_lists_and_objects_are_read_inside_each_other() -> None:
    options = {"list": [1, {"x": [None, "y"]}], "flag": True}
    read = read_as(Whole, {"kind": "a", "parts": [{"name": "p", "weight": 2}], "options": options})
    assert read == Whole("a", (Part("p", 2.0),), options)
    assert read_as(tuple[Part, ...], [{"name": "p"}]) == (Part("p"),)
    planned = PlannedMemory(MemoryPlan("cuda", "float16", offload="model"), "cuda", "a card")
    assert read_as(PlannedMemory, asdict(planned)) == planned


def test_unknown_fields_are_passed_over_at_any_depth_and_missing_ones_have_their_defaults() -> None:
    assert read_as(Whole, {"kind": "b", "new": {}, "parts": [{"name": "p", "new": 1}]}) == Whole(
        "b", (Part("p"),)
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "kind: "),
        ({"kind": "c"}, "kind: "),
        ({"kind": "a", "size": "large"}, "size: "),
        ({"kind": "a", "parts": [{"name": "p"}, {"weight": 1}]}, r"parts\.1\.name: "),
        ([], "dictionary"),
        (None, "dictionary"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_as(Whole, value)


def test_a_generation_from_before_its_last_fields_has_their_defaults() -> None:
    made = Generation("p", "", 64, 64, 64, 64, "keep", 8, 8, 8, 10, 9.0, seed=1, engine="embedded")
    old = {name: value for name, value in asdict(made).items() if name not in ("speed", "upscaler")}
    assert read_as(Generation, old) == made


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "[1e999]", "[" * 100_000])
def test_what_no_reply_could_carry_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it is
        parse_json(text)
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
