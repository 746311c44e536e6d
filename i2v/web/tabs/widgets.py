"""What the tabs share: texts that follow the language, lists whose buttons act, what they are made with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from i2v.jobs import JsonObject
from i2v.schema import Language
from i2v.web.front import Front
from i2v.web.texts import text

Values = Mapping[Component, Any]  # what Gradio hands to a function whose inputs are a set
Updates = dict[Any, Any]  # widget -> its new value, or an update of it
Choices = Callable[[Language], list[tuple[str, str]]]
Widget = TypeVar("Widget")

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

# A click on a button of the list, told as {"act": ..., "id": ...}.
_ACTING = """element.addEventListener("click", event => {
  const button = event.target.closest("[data-act]");
  if (button) trigger("click", {act: button.dataset.act, id: button.dataset.id || ""});
});"""


class Labels:
    """The widgets' texts in the language of the moment."""

    def __init__(self) -> None:
        self._updates: list[tuple[object, Callable[[Language], dict[str, Any]]]] = []

    def of(self, widget: Widget, choices: Choices | None = None, **keys: str) -> Widget:
        """Give `widget` its texts, by attribute (`label="prompt.label"`), and keep them up to date."""

        def attributes(language: Language) -> dict[str, Any]:
            texts: dict[str, Any] = {name: text(key, language) for name, key in keys.items()}
            return texts | ({"choices": choices(language)} if choices else {})

        for name, value in attributes("en").items():
            setattr(widget, name, value)
        self._updates.append((widget, attributes))
        return widget

    def widgets(self) -> list[Any]:
        return [widget for widget, _ in self._updates]

    def updates(self, language: Language) -> Updates:
        return {widget: gr.update(**attributes(language)) for widget, attributes in self._updates}


@dataclass(frozen=True)
class Remembered:
    """What the browser keeps. It comes from there, so it may be anything."""

    job: str = ""
    language: Language | None = None

    @classmethod
    def of(cls, value: object) -> Remembered:
        known = value if isinstance(value, dict) else {}
        job, language = known.get("job"), known.get("language")
        return cls(job if isinstance(job, str) else "", language if language in get_args(Language) else None)


@dataclass(frozen=True)
class Shared:
    """What every tab is made with.

    Attributes:
        remembered: `Remembered` as a dict, in this browser, for all of its windows.
        opened: an `Opened`: what the first tab is to take over; see `Wired.opens`.
    """

    front: Front
    labels: Labels
    language: gr.Radio
    remembered: gr.BrowserState
    opened: gr.State

    def here(self) -> set[Any]:
        """Return the inputs that the two methods below read."""
        return {self.language, self.remembered}

    def language_of(self, values: Values) -> Language:
        chosen: Language = values[self.language]
        return chosen

    def remembered_of(self, values: Values) -> Remembered:
        return Remembered.of(values[self.remembered])


@dataclass(frozen=True)
class Opened:
    """What the first tab is to take over: nothing, a job (shown, with its settings), or settings alone."""

    job: str = ""
    fields: JsonObject = field(default_factory=dict)  # of a `GenerationRequest`


@dataclass(frozen=True)
class Wired:
    """What the page has to know of a tab's events.

    Attributes:
        opens: after these, the first tab takes over what `Shared.opened` holds.
        live: these go on as long as the tab is looked at, and are cancelled when another one is.
    """

    opens: tuple[Dependency, ...] = ()
    live: tuple[Dependency, ...] = ()


@dataclass(frozen=True)
class Action:
    """A click on a button of an `acting_html`. It comes from the browser, so it may be anything."""

    act: str = ""
    id: str = ""

    @classmethod
    def of(cls, event: gr.EventData) -> Action:
        told = event._data if isinstance(event._data, dict) else {}
        act, job = told.get("act"), told.get("id")
        if not isinstance(act, str) or not isinstance(job, str) or not re.fullmatch(r"[0-9a-f]{0,32}", job):
            return cls()
        return cls(act, job)


def acting_html(elem_id: str) -> gr.HTML:
    """Return an HTML widget whose buttons (`data-act`, `data-id`) make its `click` event: see `Action`."""
    return gr.HTML(elem_id=elem_id, js_on_load=_ACTING)
