"""Fields for further pictures: shown for engines that take them, and what they become."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.web.page.tabs.pictures import MorePictures
from i2v.web.page.tabs.widgets import Labels
from tests.contrary import CONTRARY
from tests.fake_family.specs import FAKE


@pytest.fixture
def pictures() -> MorePictures:
    async def build() -> MorePictures:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return MorePictures(Labels())

    return asyncio.run(build())


def values(pictures: MorePictures, **changed: object) -> dict[Any, object]:
    """Return what the browser sends: by elem_id, without its prefix, `changed`."""
    named = {
        str(widget.elem_id).removeprefix("i2v-").replace("-", "_"): widget for widget in pictures.widgets()
    }
    untouched = {widget: getattr(widget, "value", None) for widget in pictures.widgets()}
    return untouched | {named[name]: value for name, value in changed.items()}


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (CAMERA_MOVE, [False] * 8),
        (FAKE, [True, True, False, False, False, True, False, False]),
        (EMBEDDED, [True, False, False, False, False, False, True, False]),
        (ANIMATEDIFF, [True] * 8),
    ],
    ids=["one picture", "a last one too", "a mask", "all"],
)
def test_only_what_an_engine_takes_is_shown(
    pictures: MorePictures, spec: EngineSpec, shown: list[bool]
) -> None:
    updates = pictures.shown(spec)
    assert [updates[group]["visible"] for group in pictures.groups()] == shown
    assert not set(updates) & {widget for widget in pictures.widgets() if isinstance(widget, gr.Image)}


def test_pictures_are_a_requests_inputs_with_their_files_in_the_same_order(
    pictures: MorePictures, tmp_path: Path
) -> None:
    for name in ("last", "second"):
        (tmp_path / name).write_bytes(name.encode())
    given = values(
        pictures,
        keyframe_2=str(tmp_path / "second"), keyframe_2_frame="12", last_image=str(tmp_path / "last"),
    )  # fmt: skip
    assert pictures.given(given, CONTRARY) == [{"role": "keyframe", "frame": "12"}, {"role": "last_image"}]
    assert pictures.files(given, CONTRARY) == (b"second", b"last")
    assert pictures.given(given, FAKE) == [{"role": "last_image"}]
    assert pictures.given(given, EMBEDDED) == []
    assert pictures.files(given, EMBEDDED) == ()
    masked = values(pictures, motion_mask=str(tmp_path / "last"))
    assert pictures.given(masked, EMBEDDED) == [{"role": "motion_mask"}]
    styled = values(pictures, style_image=str(tmp_path / "last"))
    assert pictures.given(styled, ANIMATEDIFF) == [{"role": "style_image"}]
    assert pictures.given(styled, EMBEDDED) == []
    assert pictures.given(values(pictures), CONTRARY) == []


def test_a_jobs_pictures_are_brought_back_and_what_has_no_field_is_said(pictures: MorePictures) -> None:
    job: list[tuple[dict[str, object], bytes]] = [
        *(({"role": "keyframe", "frame": frame}, b"keyframe %d" % frame) for frame in (2, 7, 9, 11)),
        ({"role": "last_image"}, b"last"),
    ]
    before = values(pictures, keyframe_1="old.png", keyframe_1_frame="3")
    kept = pictures.placed(before, None)
    assert {widget: kept[widget] for widget in pictures.widgets()} == before
    placed = pictures.placed(before, job)
    assert placed.keys() == set(pictures.fields())
    given = {widget: placed[widget] for widget in pictures.widgets()}
    assert pictures.files(given, CONTRARY) == (b"keyframe 2", b"keyframe 7", b"keyframe 9", b"last")
    assert [each.get("frame") for each in pictures.given(given, CONTRARY)] == ["2", "7", "9", None]
    (said,) = (value for widget, value in placed.items() if widget not in pictures.widgets())
    assert "1 more keyframes" in said
    fewer = pictures.placed(before, job[-1:])
    assert pictures.files({widget: fewer[widget] for widget in pictures.widgets()}, CONTRARY) == (b"last",)
