"""i2v.core.scenes: scenes as JSON and as lines, and what are none."""

from __future__ import annotations

import pytest

from i2v.core.scenes import Scene
from tests.core.requests import assert_readable, parse, refusal


@pytest.mark.parametrize(
    "asked",
    [
        "4: pan left\n2.5: zoom in: slowly\n\n3", ["4: pan left", "2.5\uff1azoom in: slowly", "3"],
        '[{"seconds": 4, "prompt": "pan left"}, "2.5: zoom in: slowly", {"seconds": "3"}]',
    ],
    ids=str,
)  # fmt: skip
def test_scenes_are_read_as_json_and_as_lines(asked: object) -> None:
    assert parse(story=asked).story == (Scene(4, "pan left"), Scene(2.5, "zoom in: slowly"), Scene(3))
    assert parse(story="").story == ()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["pan left"], "request.invalid"), (["0: a"], "request.invalid"), (["400", "201"], "request.invalid"),
        ([{"seconds": 1, "text": "a"}], "request.unknown_field"),
        ([{"prompt": "a"}], "request.missing_field"),
        ("[", "request.invalid"), (["1"] * 51, "request.invalid"), (7, "request.invalid"),
        ([{"seconds": True}], "request.invalid"), ([{"seconds": 1, "prompt": "\0"}], "request.invalid"),
    ],
    ids=str,
)  # fmt: skip
def test_what_are_no_scenes_is_refused(asked: object, code: str) -> None:
    error = refusal(story=asked)
    assert error.code == code
    assert str(error.params["field"]).startswith("story")
    assert_readable(error)
