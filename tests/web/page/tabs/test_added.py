"""Fields for LoRAs and a checkpoint: shown for engines that take them, and what they become."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from i2v.core.loras import Lora
from i2v.core.schema import GenerationRequest
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.svd.specs import SVD
from i2v.engines.wan.specs import WAN_I2V_A14B
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.added import AddedFields
from i2v.web.page.tabs.widgets import Labels, Values
from i2v.weights.added_files import AddedFile, Kind

THERE = {"loras": ["ink", "soft"], "checkpoints": ["film"]}


@pytest.fixture
def added() -> AddedFields:
    async def build() -> AddedFields:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return AddedFields(Labels(), lambda kind: THERE[kind])

    return asyncio.run(build())


def values(added: AddedFields, updates: dict[Any, Any]) -> Values:
    """Return what the browser sends after the updates."""
    sent = {widget: widget.value for widget in added.widgets()}
    for widget, update in updates.items():
        if widget in sent:
            sent[widget] = update.get("value", sent[widget]) if isinstance(update, dict) else update
    return sent


def test_they_are_shown_for_engines_that_take_them_with_the_files_there_are(added: AddedFields) -> None:
    group, checkpoint, *_ = added.groups()
    loras = added.chosen()
    shown = added.shown(ANIMATEDIFF, "en")
    assert shown[group]["visible"]
    assert shown[checkpoint]["choices"] == [("The model's own", ""), ("film", "film")]
    assert all(shown[name]["choices"] == [("None", ""), ("ink", "ink"), ("soft", "soft")] for name in loras)
    assert not added.shown(SVD, "en")[group]["visible"]


def test_a_requests_fields_fill_them_and_come_back(added: AddedFields) -> None:
    loras = [{"name": "ink", "strength": 0.8}, {"name": "soft", "strength": -0.5}]
    asked = {"checkpoint": "film", "loras": loras}
    filled = values(added, added.filled(asked))
    assert added.given(filled, ANIMATEDIFF) == asked
    assert added.given(filled, SVD) == {}
    only_loras = replace(ANIMATEDIFF, capabilities=replace(ANIMATEDIFF.capabilities, checkpoint=False))
    assert added.given(filled, only_loras) == {"loras": loras}
    assert added.given(values(added, added.filled({})), ANIMATEDIFF) == {}
    request = GenerationRequest.parse({"prompt": "a", **added.given(filled, ANIMATEDIFF)})
    assert request.loras == (Lora("ink", 0.8), Lora("soft", -0.5))


def test_a_model_with_two_experts_has_a_strength_for_each(added: AddedFields) -> None:
    loras = [{"name": "ink", "strength": 0.8, "strength_2": "0.5"}, {"name": "soft", "strength": 1}]
    asked: JsonObject = {"loras": [{**loras[0], "strength_2": 0.5}, loras[1]]}
    shown, filled = added.shown(WAN_I2V_A14B, "en"), values(added, added.filled(asked))
    assert [shown[each]["visible"] for each in added.groups()[-8:]] == [True] * 8
    assert not any(added.shown(ANIMATEDIFF, "en")[each]["visible"] for each in added.groups()[-8:])
    assert added.given(filled, WAN_I2V_A14B) == {"loras": loras}
    request = GenerationRequest.parse({"prompt": "a", **added.given(filled, WAN_I2V_A14B)})
    assert request.loras == (Lora("ink", 0.8, 0.5), Lora("soft", 1.0))
    assert added.given(filled, ANIMATEDIFF)["loras"] == [{"name": "ink", "strength": 0.8}, loras[1]]


def test_all_loras_of_a_job_come_back_however_many_and_however_strong(added: AddedFields) -> None:
    loras = [
        {"name": f"lora{number}", "strength": strength} for number, strength in enumerate((3, -4, 1, 1, 1, 2))
    ]
    updates = added.filled({"loras": loras})
    assert added.given(values(added, updates), ANIMATEDIFF) == {"loras": loras}
    rows = [widget for widget in updates if isinstance(widget, gr.Row)]
    assert [updates[row]["visible"] for row in rows] == [True] * 6 + [False] * 2
    assert set(updates) <= set(added.fields())
    bounds = [(each["minimum"], each["maximum"]) for each in updates.values() if "minimum" in each]
    assert bounds[:3] == [(-1, 3), (-4, 2), (-1, 2)]
    assert [added.filled({})[row]["visible"] for row in rows] == [True] * 4 + [False] * 4


def test_trigger_words_are_told_as_text(added: AddedFields) -> None:
    def describe(kind: Kind, name: str) -> AddedFile | None:
        words = ("<b>inkwash</b>",) if name == "ink" else ()
        return None if name == "gone" else AddedFile(name, Path(name), 1, "", words)

    asked = {"loras": [{"name": name} for name in ("ink", "soft", "gone")]}
    said = added.said(values(added, added.filled(asked)), describe, "en")
    assert said == "<p>Trigger words of ink: &lt;b&gt;inkwash&lt;/b&gt;</p>"


def test_what_a_file_says_of_a_strength_may_be_anything(added: AddedFields) -> None:
    filled = values(added, added.filled({"loras": [{"name": "ink", "strength": "x", "strength_2": "x"}]}))
    assert added.given(filled, WAN_I2V_A14B) == {"loras": [{"name": "ink", "strength": 1.0}]}
