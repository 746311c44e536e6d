"""What a window shows beside its form: where each error stands, and which takes it keeps."""

from __future__ import annotations

import pytest

from i2v.web.page.tabs.showing import Place, Showing, place_of
from i2v.web.page.tabs.widgets import MAX_TAKES


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("request.missing_field", "picture"), ("image.too_small", "picture"),
        ("request.blank_prompt", "prompt"), ("request.invalid", "form"), ("job.queue_full", "form"),
        ("weights.missing_folder", "form"), ("job.unknown", "result"), ("job.video_missing", "result"),
    ],
)  # fmt: skip
def test_an_error_stands_at_what_it_is_about(code: str, place: Place) -> None:
    error = {"code": code, "params": {}, "message": ""}
    assert place_of(error) == place
    assert Showing(error=error).said_at(place) == error
    assert Showing(noticed=error).said_at(place) == error


def test_the_last_takes_are_kept_each_once() -> None:
    view = Showing()
    for number in (*range(MAX_TAKES + 2), MAX_TAKES):
        view.turn_to(str(number))
    assert view.takes == tuple(str(number) for number in range(2, MAX_TAKES + 2))
    view.beside = "3"
    view.turn_to()
    assert (view.job, view.beside, len(view.takes)) == ("", "", MAX_TAKES)
