"""Fields for a story: shown for engines that make one, and what they become."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

from i2v.core.schema import GenerationRequest, Scene
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.web.page.tabs.story import StoryFields
from i2v.web.page.tabs.widgets import Labels, Values


@pytest.fixture
def story() -> StoryFields:
    async def build() -> StoryFields:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return StoryFields(Labels())

    return asyncio.run(build())


def values(story: StoryFields, updates: dict[Any, Any]) -> Values:
    """Return what the browser sends after the updates."""
    return {widget: updates.get(widget, widget.value) for widget in story.widgets()}


def test_they_are_shown_for_engines_that_make_stories(story: StoryFields) -> None:
    (group,) = story.groups()
    assert story.shown(EMBEDDED)[group]["visible"]
    assert not story.shown(CAMERA_MOVE)[group]["visible"]


def test_a_requests_fields_fill_them_and_come_back(story: StoryFields) -> None:
    scenes = [{"seconds": 4.0, "prompt": "pan left: slowly"}, {"seconds": 2.5, "prompt": ""}]
    filled = values(story, story.filled({"story": scenes, "correct_drift": False}))
    given = story.given(filled, EMBEDDED)
    request = GenerationRequest.parse({"prompt": "a", **given})
    assert request.story == (Scene(4.0, "pan left: slowly"), Scene(2.5))
    assert not request.correct_drift
    assert story.given(filled, CAMERA_MOVE) == {}
    assert story.given(values(story, story.filled({})), EMBEDDED) == {}
