"""Fields for LoRAs and another checkpoint, for engines that take them.

Owns the widgets and how they become a request's `checkpoint` and `loras`. Whether a file fits the engine is
said by the plan, as for every field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import gradio as gr

from i2v.core.engine_spec import EngineSpec
from i2v.core.loras import MAX_LORAS
from i2v.core.schema import Language
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Dropdown, Labels, Slider, Updates, Values
from i2v.web.texts import text
from i2v.weights.added_files import AddedFile, Kind

ROWS = 4  # that are always shown; the others where a job has so many LoRAs
STRENGTHS = (-1, 2)  # of the slider, unless a job has another one
_NONE = ""

Names = Callable[[Kind], list[str]]
Describe = Callable[[Kind, str], AddedFile | None]


class AddedFields:
    """The widgets, made where this is called within a `gr.Blocks`; none is shown at first.

    names: of the files that there are, asked whenever the fields are shown.
    """

    def __init__(self, labels: Labels, names: Names) -> None:
        self._names = names
        self._loras: list[tuple[Any, Any, Any]] = []  # name, strength, that in a second expert
        with labels.of(
            gr.Accordion(open=False, visible=False, elem_id="i2v-added"), label="added.label"
        ) as self._group:
            labels.of(gr.HTML(), value="added.help")
            self._checkpoint = labels.of(
                Dropdown([], value=_NONE, allow_custom_value=True, elem_id="i2v-checkpoint"),
                label="added.checkpoint",
            )
            self._rows = []
            for number in range(1, MAX_LORAS + 1):
                with gr.Row(visible=number <= ROWS) as row:
                    name = labels.follow(
                        Dropdown([], value=_NONE, allow_custom_value=True, elem_id=f"i2v-lora-{number}"),
                        _numbered("added.lora", number),
                    )
                    strength = labels.follow(
                        Slider(*STRENGTHS, 1, step=0.05, buttons=[], elem_id=f"i2v-lora-{number}-strength"),
                        _numbered("added.strength", number),
                    )
                    second = labels.follow(
                        gr.Textbox(max_lines=1, visible=False, elem_id=f"i2v-lora-{number}-strength-2"),
                        _numbered("added.second", number, placeholder="added.second_empty"),
                    )
                self._rows.append(row)
                self._loras.append((name, strength, second))
            self.words = gr.HTML(elem_id="i2v-trigger-words")

    def widgets(self) -> list[Any]:
        return [self._checkpoint, *(widget for row in self._loras for widget in row)]

    def chosen(self) -> list[Any]:
        """Return the fields that name a LoRA."""
        return [name for name, *_ in self._loras]

    def fields(self) -> list[Any]:
        """Return the widgets that `filled` changes."""
        return [*self.widgets(), *self._rows]

    def groups(self) -> list[Any]:
        """Return the widgets that `shown` changes."""
        return [self._group, self._checkpoint, *self.chosen(), *(second for *_, second in self._loras)]

    def shown(self, spec: EngineSpec, language: Language) -> Updates:
        """Return the updates that show only what `spec` takes, with the files that there are now."""
        can = spec.capabilities
        loras = self._choices("loras", language) if can.loras else []
        checkpoints = self._choices("checkpoints", language) if can.checkpoint else []
        return {
            self._group: gr.update(visible=can.loras or can.checkpoint),
            self._checkpoint: gr.update(visible=can.checkpoint, choices=checkpoints),
            **{name: gr.update(choices=loras) for name in self.chosen()},
            **{second: gr.update(visible=spec.has_two_experts) for *_, second in self._loras},
        }

    def filled(self, fields: Mapping[str, object]) -> Updates:
        """Return the widgets as the fields of a request have them, or empty."""
        loras = fields.get("loras")
        given = (
            [each for each in loras if isinstance(each, Mapping)] if isinstance(loras, list | tuple) else []
        )
        updates: Updates = {self._checkpoint: gr.update(value=str(fields.get("checkpoint") or _NONE))}
        for number, (name, strength, second) in enumerate(self._loras):
            each = given[number] if number < len(given) else {}
            updates[name] = gr.update(value=str(each.get("name", _NONE)))
            updates[strength] = _reaching(each.get("strength", 1))
            in_second = each.get("strength_2")
            updates[second] = gr.update(value=f"{in_second:g}" if isinstance(in_second, int | float) else "")
            updates[self._rows[number]] = gr.update(visible=number < ROWS or bool(each))
        return updates

    def given(self, values: Values, spec: EngineSpec) -> JsonObject:
        """Return the fields of a request to `spec`; what is left empty is left out."""
        can, found = spec.capabilities, dict[str, object]()
        if can.checkpoint and values[self._checkpoint]:
            found["checkpoint"] = values[self._checkpoint]
        loras = list[JsonObject]()
        for name, strength, second in self._loras:
            if values[name]:
                in_second = values[second] if spec.has_two_experts else None
                own = {"strength_2": in_second} if in_second else {}
                loras.append({"name": values[name], "strength": values[strength], **own})
        if can.loras and loras:
            found["loras"] = loras
        return found

    def said(self, values: Values, describe: Describe, language: Language) -> str:
        """Return the trigger words of the LoRAs that are chosen, as markup."""
        lines = []
        for name in filter(None, (values[each] for each in self.chosen())):
            file = describe("loras", str(name))
            if file is not None and file.trigger_words:
                words = ", ".join(file.trigger_words)
                lines.append(text("added.words", language, name=file.name, words=words))
        return "".join(f"<p>{escape(line)}</p>" for line in lines)

    def _choices(self, kind: Kind, language: Language) -> list[tuple[str, str]]:
        none = text("added.none" if kind == "loras" else "added.own", language)
        return [(none, _NONE), *((name, name) for name in self._names(kind))]


def _reaching(strength: object) -> Any:
    """Return the update of a slider with that value in it, wherever that is."""
    value = float(strength) if isinstance(strength, int | float) else 1.0
    low, high = STRENGTHS
    return gr.update(value=value, minimum=min(low, value), maximum=max(high, value))


def _numbered(key: str, number: int, **others: str) -> Callable[[Language], dict[str, Any]]:
    """`others`: more attributes, each with its text's key."""
    return lambda language: {
        "label": text(key, language, number=number),
        **{name: text(other, language) for name, other in others.items()},
    }
