"""Fields for a clip that is longer than the engine makes at once, for engines that make such clips.

Owns the widgets and how they become a request's `story`. How a line is read is `GenerationRequest`'s
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from i2v.core.engine_spec import EngineSpec
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Labels, Updates, Values


class StoryFields:
    """The widgets, made where this is called within a `gr.Blocks`; none is shown at first."""

    def __init__(self, labels: Labels) -> None:
        with labels.of(
            gr.Accordion(open=False, visible=False, elem_id="i2v-story-group"), label="story.group"
        ) as self._group:
            self._scenes = labels.of(
                gr.Textbox(lines=3, max_lines=12, elem_id="i2v-story"),
                label="story.label",
                info="story.help",
                placeholder="story.placeholder",
            )
            self._loop = labels.of(
                gr.Checkbox(False, elem_id="i2v-loop"), label="loop.label", info="loop.help"
            )
            self._correct = labels.of(
                gr.Checkbox(True, elem_id="i2v-correct-drift"),
                label="story.correct",
                info="story.correct.help",
            )

    def widgets(self) -> list[Any]:
        return [self._scenes, self._correct, self._loop]

    def groups(self) -> list[Any]:
        """Return the widgets that `shown` changes."""
        return [self._group, self._loop]

    def shown(self, spec: EngineSpec) -> Updates:
        """Return the updates that show the fields where `spec` has a use for them."""
        can = spec.capabilities
        loops = can.loop in ("wrapped", "back")  # else, a control of its own options
        return {
            self._group: gr.update(visible=can.story or loops),
            self._loop: gr.update(visible=loops),
        }

    def filled(self, fields: Mapping[str, object]) -> Updates:
        """Return the widgets as the fields of a request have them, or empty."""
        story = fields.get("story")
        listed = story if isinstance(story, list | tuple) else ()
        scenes = [each for each in listed if isinstance(each, Mapping)]
        lines = [_line(each) for each in scenes]
        return {
            self._scenes: "\n".join(lines),
            self._correct: fields.get("correct_drift") is not False,
            self._loop: gr.update(value=fields.get("loop") is True),
            self._group: gr.update(open=bool(lines) or fields.get("loop") is True),
        }

    def given(self, values: Values, spec: EngineSpec) -> JsonObject:
        """Return the fields of a request to `spec`; what is left empty is left out."""
        can, given = spec.capabilities, dict[str, object]()
        scenes = str(values[self._scenes] or "")
        if can.story and scenes.strip():
            given["story"] = scenes
            if not values[self._correct]:
                given["correct_drift"] = False
        if can.loop in ("wrapped", "back") and values[self._loop]:
            given["loop"] = True
        return given


def _line(scene: Mapping[str, object]) -> str:
    """Return a scene as one line, also where programs have sent a prompt of several."""
    seconds, prompt = scene.get("seconds"), " ".join(str(scene.get("prompt", "")).split())
    return f"{seconds:g}: {prompt}".strip() if isinstance(seconds, int | float) else prompt
