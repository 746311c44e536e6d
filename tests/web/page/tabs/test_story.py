"""Fields for a story: shown for engines that make one, and what they become."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

from i2v.core.scenes import Scene
from i2v.core.schema import GenerationRequest
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
    sent = {widget: widget.value for widget in story.widgets()}
    for widget, update in updates.items():
        if widget in sent:
            sent[widget] = update.get("value", sent[widget]) if isinstance(update, dict) else update
    return sent


def test_they_are_shown_for_engines_that_make_stories(story: StoryFields) -> None:
    group, loop = story.groups()
    assert story.shown(EMBEDDED)[group]["visible"]
    assert story.shown(EMBEDDED)[loop]["visible"]
    assert not story.shown(CAMERA_MOVE)[group]["visible"], "its loop is an option of its own"


def test_a_requests_fields_fill_them_and_come_back(story: StoryFields) -> None:
    scenes = [{"seconds": 4.0, "prompt": "pan left: slowly"}, {"seconds": 2.5, "prompt": ""}]
    filled = values(story, story.filled({"story": scenes, "correct_drift": False}))
    given = story.given(filled, EMBEDDED)
    request = GenerationRequest.parse({"prompt": "a", **given})
    assert request.story == (Scene(4.0, "pan left: slowly"), Scene(2.5))
    assert not request.correct_drift
    assert story.given(filled, CAMERA_MOVE) == {}
    assert story.given(values(story, story.filled({})), EMBEDDED) == {}
    looping = values(story, story.filled({"loop": True}))
    assert story.given(looping, EMBEDDED) == {"loop": True}
    assert story.given(looping, CAMERA_MOVE) == {}


def test_a_prompt_of_several_lines_is_one_line_here(story: StoryFields) -> None:
    filled = values(story, story.filled({"story": [{"seconds": 4, "prompt": "pan left\n3: slowly"}]}))
    request = GenerationRequest.parse({"prompt": "a", **story.given(filled, EMBEDDED)})
    assert request.story == (Scene(4.0, "pan left 3: slowly"),)
