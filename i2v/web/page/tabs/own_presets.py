"""Settings saved under a name, to be used again.

Owns these widgets and what a browser keeps of them. They stay in the browser, as `Remembered` does: the
server knows no visitors, so that in its data folder everybody would see and delete everybody's. What comes
from there may be anything, and is checked as a request is.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest, Language
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Action, Labels, Updates, Values, acting_html
from i2v.web.texts import text

MOST = 20
LONGEST_NAME = 40  # characters
# What belongs to a picture or to one clip, and not to a way of making clips.
_NOT_KEPT = ("prompt", "crop", "seed", "story")


@dataclass(frozen=True)
class OwnPreset:
    """`fields`: of a `GenerationRequest`, but for those that belong to one clip."""

    name: str
    fields: JsonObject


class OwnPresets:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels) -> None:
        # Under a fixed key: neither value is a secret.
        self.stored = gr.BrowserState([], storage_key="i2v-presets", secret="i2v")
        self.list = acting_html("i2v-own-presets")
        with gr.Row(elem_id="i2v-own-preset"):
            self.name = labels.of(
                gr.Textbox(
                    max_lines=1, max_length=LONGEST_NAME, scale=3, min_width=140, elem_id="i2v-own-name"
                ),
                label="own.name",
            )
            self.save = labels.of(
                gr.Button(size="sm", scale=1, min_width=90, elem_id="i2v-own-save"), value="own.save"
            )

    def shown(self, values: Values, language: Language) -> Updates:
        """Return the list of those that the browser has."""
        return {self.list: _listed(read(values[self.stored]), language)}

    def saved(self, values: Values, fields: JsonObject) -> Updates:
        """Return them with `fields` under the name that was typed; one of that name is replaced."""
        name = " ".join(str(values[self.name] or "").split())[:LONGEST_NAME]
        if not name:
            return {self.name: ""}
        kept = {each: value for each, value in fields.items() if each not in _NOT_KEPT}
        others = [each for each in read(values[self.stored]) if each.name != name]
        return {self.stored: _stored([*others, OwnPreset(name, kept)][-MOST:]), self.name: ""}

    def pressed(self, values: Values, event: gr.EventData) -> tuple[OwnPreset | None, Updates]:
        """Return what is to be used, or the list without what is to be deleted."""
        action, known = Action.of(event), read(values[self.stored])
        number = int(action.id) if action.id.isdecimal() and len(action.id) < 4 else MOST
        if number >= len(known):
            return None, {}
        if action.act == "use":
            return known[number], {}
        if action.act == "remove":
            return None, {self.stored: _stored([*known[:number], *known[number + 1 :]])}
        return None, {}


def read(stored: object) -> list[OwnPreset]:
    """Return those that a browser sent, without what is none."""
    found = []
    for each in stored[:MOST] if isinstance(stored, list) else ():
        name, fields = (each.get("name"), each.get("fields")) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not name.strip() or not isinstance(fields, dict):
            continue
        kept = {key: value for key, value in fields.items() if key not in _NOT_KEPT}
        try:
            GenerationRequest.parse(kept)
        except InvalidRequest:  # of another version, or somebody else's
            continue
        found.append(OwnPreset(name[:LONGEST_NAME], kept))
    return found


def _stored(presets: list[OwnPreset]) -> list[dict[str, Any]]:
    return [{"name": each.name, "fields": each.fields} for each in presets]


def _listed(presets: list[OwnPreset], language: Language) -> str:
    items = "".join(_item(number, each, language) for number, each in enumerate(presets))
    label = escape(text("own.label", language))
    return f'<ul class="i2v-own" aria-label="{label}">{items}</ul>' if items else ""


def _item(number: int, preset: OwnPreset, language: Language) -> str:
    name, confirm = escape(preset.name), escape(text("own.remove.confirm", language))
    remove = escape(f"{text('own.remove', language)}: {preset.name}")
    return (
        f'<li><button type="button" class="i2v-act" data-act="use" data-id="{number}">{name}</button>'
        f'<button type="button" class="i2v-act" data-act="remove" data-id="{number}" aria-label="{remove}"'
        f' data-confirm="{confirm}">×</button></li>'
    )
