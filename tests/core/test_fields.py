"""i2v.core.fields: what is said of values and names. The fields themselves: `test_schema`."""

from __future__ import annotations

import pytest

from i2v.core.fields import nearest_name, shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8", "8"),
        ("", "''"),
        (" 8", "' 8'"),
        ("x" * 61, "x" * 60 + "... (61 characters)"),
        ("\ud800\0\n", "\\ud800\\x00\\n"),
        (None, "None"),
        (10**5000, "a number of over 60 digits"),
        (list(range(99)), "[0, 1, 2, 3, 4, 5, ...]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_short_and_printable(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_a_list_within_itself_is_shown() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert len(shown(endless)) < 80


def test_the_limit_of_what_is_shown_can_be_set() -> None:
    assert shown("x" * 300, limit=300) == "x" * 300


@pytest.mark.parametrize(
    ("name", "known", "nearest"),
    [
        ("prefix", ["output", "output.prefix", "output.format"], "output.prefix"),
        ("outptu", ["output", "engine"], "output"),
        ("", ["b", "a"], "b"),
        ("zzz", ["only"], "only"),
    ],
)
def test_the_nearest_name_contains_the_given_one_or_resembles_it(
    name: str, known: list[str], nearest: str
) -> None:
    assert nearest_name(name, known) == nearest
