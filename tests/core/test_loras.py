"""i2v.core.loras: LoRAs as JSON and as text, and what is none."""

from __future__ import annotations

import pytest

from i2v.core.loras import Lora
from tests.core.requests import assert_readable, parse, refusal


@pytest.mark.parametrize(
    "asked",
    [
        [{"name": "ink", "strength": 0.8}, {"name": "a:b"}], ["ink:0.8", {"name": "a:b"}],
        '[{"name": "ink", "strength": "0.8"}, {"name": "a:b"}]',
    ],
    ids=str,
)  # fmt: skip
def test_loras_are_read_as_json_and_as_text(asked: object) -> None:
    assert parse(loras=asked).loras == (Lora("ink", 0.8), Lora("a:b", 1.0))


def test_loras_of_one_text_are_split_at_commas() -> None:
    assert parse(loras="ink:0.8, styles/soft").loras == (Lora("ink", 0.8), Lora("styles/soft", 1.0))
    assert parse(loras="").loras == ()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["ink:5"], "request.invalid"), (["ink", "ink:0.5"], "request.invalid"), ("[", "request.invalid"),
        ([{"name": "a", "weight": 1}], "request.unknown_field"), ([7], "request.invalid"),
        ([f"l{k}" for k in range(9)], "request.invalid"), ({"ink": 1}, "request.invalid"),
        ([{"strength": 1}], "request.missing_field"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_list_of_loras_is_refused(asked: object, code: str) -> None:
    error = refusal(loras=asked)
    assert error.code == code
    assert str(error.params["field"]).startswith("loras")
    assert_readable(error)
