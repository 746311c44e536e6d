"""What the tabs share: texts that follow the language, lists whose buttons act, what they are made with."""

from __future__ import annotations

import re
from abc import ABCMeta
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast, get_args

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.components import Component
from gradio.data_classes import FileData, ListFiles
from gradio.events import Dependency

from i2v.core.schema import Language
from i2v.jobs.model import JsonObject
from i2v.web.context import AppContext
from i2v.web.page.uploads import uploaded
from i2v.web.texts import text

Values = Mapping[Component, Any]  # what Gradio hands to a function whose inputs are a set
Updates = dict[Any, Any]  # widget -> its new value, or an update of it
Choices = Callable[[Language], list[tuple[str, str]]]
Widget = TypeVar("Widget")

MAX_TAKES = 12  # in the strip of a window
MAX_TYPED = 200  # characters
MAX_PICKED = 200  # clips that something is done with at once

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

# A click on a button of the list, told as {"act": ..., "id": ...}. One that has `data-confirm` shows those
# words first, for a while, and is told when it is pressed again: not by a double click.
_ACTING = """element.addEventListener("click", event => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  const {act, id, confirm, asked} = button.dataset;
  if (confirm && !asked) {
    const now = String(Date.now()), label = button.textContent, name = button.ariaLabel;
    button.dataset.asked = now;
    button.textContent = confirm;
    if (name) button.ariaLabel = name.replace(label, confirm);
    setTimeout(() => {
      if (button.dataset.asked !== now) return;
      delete button.dataset.asked;
      button.textContent = label;
      button.ariaLabel = name;
    }, 5000);
  } else if (confirm ? Date.now() - Number(asked) > 400 : event.detail < 2) {  // 2: of a double click
    const picked = [...element.querySelectorAll("input[data-pick]:checked")].map(each => each.value);
    const text = button.dataset.text ?? element.querySelector("input[data-typed]")?.value ?? "";
    trigger("click", {act, id: id || "", picked, text});
  }
});"""


# A video that the browser cannot play, though the file looked whole, says so in its place: `data-broken`.
UNPLAYABLE = """element.addEventListener("error", event => {
  if (event.target.tagName !== "VIDEO") return;
  event.target.closest("[data-broken]")?.classList.add("i2v-unplayable");
}, true);
"""


def _taking_all(base: type[Widget]) -> type[Widget]:
    """Return a Gradio component whose values come as the browser sent them.

    Gradio refuses with a bare "Error" what is beyond the bounds of the moment: also what a browser sends that
    has not yet heard of another engine's. It makes a visitor's copy of a widget from its class, so this is
    one; it passes by Gradio's metaclass, which would write a type stub beside this file.
    """
    members = {"__module__": base.__module__, "preprocess": lambda self, payload: payload}
    return cast("type[Widget]", ABCMeta.__new__(ComponentMeta, base.__name__, (base,), members))


Slider = _taking_all(gr.Slider)
Dropdown = _taking_all(gr.Dropdown)
Radio = _taking_all(gr.Radio)


class Labels:
    """The widgets' texts in the language of the moment."""

    def __init__(self) -> None:
        self._updates: list[tuple[object, Callable[[Language], dict[str, Any]]]] = []

    def of(self, widget: Widget, choices: Choices | None = None, **keys: str) -> Widget:
        """Give `widget` its texts, by attribute (`label="prompt.label"`), and keep them up to date."""

        def attributes(language: Language) -> dict[str, Any]:
            texts: dict[str, Any] = {name: text(key, language) for name, key in keys.items()}
            return texts | ({"choices": choices(language)} if choices else {})

        return self.follow(widget, attributes)

    def follow(self, widget: Widget, attributes: Callable[[Language], dict[str, Any]]) -> Widget:
        """Give `widget` the attributes that it has in a language, and keep them up to date."""
        for name, value in attributes("en").items():
            setattr(widget, name, value)
        self._updates.append((widget, attributes))
        return widget

    def widgets(self) -> list[Any]:
        return [widget for widget, _ in self._updates]

    def updates(self, language: Language) -> Updates:
        return {widget: gr.update(**attributes(language)) for widget, attributes in self._updates}


def merged(*updates: Updates) -> Updates:
    """Return all of them as one; of one widget, what each says of it, where later ones win."""
    result: Updates = {}
    for each in updates:
        for widget, value in each.items():
            result[widget] = _both(result[widget], value) if widget in result else value
    return result


def _both(first: Any, second: Any) -> Any:
    """Return two updates of a widget, or values, as one."""
    first, second = (each if _is_update(each) else gr.update(value=each) for each in (first, second))
    return first | second


def _is_update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


@dataclass(frozen=True)
class Remembered:
    """What the browser keeps. It comes from there, so it may be anything.

    takes: the jobs that were asked for last, the first one first.
    """

    job: str = ""
    language: Language | None = None
    takes: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: object) -> Remembered:
        known = value if isinstance(value, dict) else {}
        job, language = known.get("job"), known.get("language")
        takes = known.get("takes")
        jobs = takes[-MAX_TAKES:] if isinstance(takes, list) else []
        return cls(
            job if isinstance(job, str) else "",
            language if language in get_args(Language) else None,
            tuple(each for each in jobs if isinstance(each, str)),
        )


@dataclass(frozen=True)
class Shared:
    """What every tab is made with.

    Attributes:
        remembered: `Remembered` as a dict, in this browser, for all of its windows.
        opened: an `Opened`: what the first tab is to take over; see `Wired.opens`.
        tabs: all of them, so that a button can select another one.
    """

    context: AppContext
    labels: Labels
    language: gr.Radio
    remembered: gr.BrowserState
    opened: gr.State
    tabs: gr.Tabs

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
    """What the first tab is to take over: nothing, a job (shown, with its settings), or settings alone.

    Attributes:
        fields: of a `GenerationRequest`.
        picture_of: the id of a job whose picture comes with the fields; "" for none.
    """

    job: str = ""
    fields: JsonObject = field(default_factory=dict)
    picture_of: str = ""


@dataclass(frozen=True)
class Wired:
    """What the page has to know of a tab's events.

    Attributes:
        opens: after these, the first tab takes over what `Shared.opened` holds.
        live: these go on as long as the tab is looked at, and are cancelled when another one is.
    """

    opens: tuple[Dependency, ...] = ()
    live: tuple[Dependency, ...] = ()


def looked_at(title: gr.Tab) -> Dependency:
    """Return the moment at which a tab is selected; what lives as long as it is looked at comes `then`.

    Functions of one event wait for each other in the browser: a generator right there would hold back those
    that end what lives on the tab before.
    """
    selected: Dependency = gr.on([title.select], None)
    return selected


@dataclass(frozen=True)
class Action:
    """A click on a button of an `acting_html`. It comes from the browser, so it may be anything.

    id: a job's, the cursor of a page of jobs, or a model's name.
    picked: the values of the boxes (`data-pick`) that are ticked in the list, ids of jobs.
    text: what the button stands for (`data-text`), else what was typed into the list's field (`data-typed`).
    """

    act: str = ""
    id: str = ""
    picked: tuple[str, ...] = ()
    text: str = ""

    @classmethod
    def of(cls, event: gr.EventData) -> Action:
        data = event._data if isinstance(event._data, dict) else {}
        act, job, picked = data.get("act"), data.get("id"), data.get("picked")
        if not isinstance(act, str) or not _is_id(job):
            return cls()
        ids = tuple(filter(_is_id, picked[:MAX_PICKED])) if isinstance(picked, list) else ()
        typed = data.get("text")
        return cls(act, job, ids, typed[:MAX_TYPED] if isinstance(typed, str) else "")


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-z-]{0,32}", value) is not None


def acting_html(elem_id: str, script: str = "") -> gr.HTML:
    """Return an HTML widget whose buttons (`data-act`, `data-id`) make its `click` event: see `Action`.

    A button with `data-confirm` shows those words when it is pressed, and acts when it is pressed again.
    script: JavaScript to be run once besides, with the widget as `element`.
    """
    return gr.HTML(elem_id=elem_id, js_on_load=_ACTING + script)


def dropped_files(elem_id: str, label: str, labels: Labels, *file_types: str, many: bool = False) -> gr.File:
    """Return a place to drop files under its label; its value is their paths, in Gradio's own folder."""
    labels.of(gr.HTML(elem_id=f"{elem_id}-label", elem_classes="i2v-label"), value=label)
    widget = gr.File(
        file_count="multiple" if many else "single",
        file_types=[*file_types],
        show_label=False,
        height=200 if many else 56,
        elem_id=elem_id,
    )
    # Gradio's own makes a temporary file for each, and refuses some by their names without a word of ours. As
    # an update of the widget would bring it back, in a copy for that visitor, its label stands by itself.
    widget.preprocess = partial(_paths, Path(widget.GRADIO_CACHE))  # type: ignore[method-assign,assignment]
    return widget


def _paths(folder: Path, dropped: ListFiles | FileData | None) -> list[Path]:
    files = dropped.root if isinstance(dropped, ListFiles) else [dropped] if dropped else []
    return [uploaded(file.path, folder) for file in files]
