"""A widget for each option of each engine, made from its JSON schema; shown for one engine at a time.

Owns how an option becomes a widget and a widget's value becomes an option. Which values are allowed is the
engine's `options_model`'s business: what a browser sends is not bound by a widget. Knows no engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, cast

import gradio as gr

from i2v.core.engine_spec import EngineSpec
from i2v.core.option_fields import OptionField, option_fields
from i2v.core.schema import Language
from i2v.web.option_texts import choice_label, option_help, option_label
from i2v.web.page.tabs.widgets import Dropdown, Labels, Slider, Updates, Values
from i2v.web.texts import text

Control = Literal["checkbox", "slider", "dropdown", "text"]

EMPTY = ""  # what a widget holds whose option is left out
_SLIDER_STEPS = 100  # at least, where a number may be any


class OptionWidgets:
    """The widgets, made where this is called within a `gr.Blocks`; none is shown at first."""

    def __init__(self, labels: Labels, engines: Mapping[str, EngineSpec]) -> None:
        self._groups: dict[str, gr.Column] = {}
        self._widgets: dict[str, dict[str, Any]] = {}  # by engine and field
        self._fields: dict[str, tuple[OptionField, ...]] = {}
        for name, spec in engines.items():
            fields = tuple(each for each in option_fields(spec.options_model) if _is_shown(each, spec))
            if not fields:
                continue
            self._fields[name] = fields
            with gr.Column(visible=False, elem_id=f"i2v-options-{name}") as self._groups[name]:
                self._widgets[name] = {field.name: _widget(labels, name, field) for field in fields}

    def widgets(self) -> list[Any]:
        return [widget for those in self._widgets.values() for widget in those.values()]

    def groups(self) -> list[gr.Column]:
        return list(self._groups.values())

    def shown(self, spec: EngineSpec) -> Updates:
        """Return the updates with which only the options of `spec` are shown."""
        return {group: gr.update(visible=name == spec.name) for name, group in self._groups.items()}

    def given(self, values: Values, spec: EngineSpec) -> dict[str, object]:
        """Return the options of `spec` as its widgets have them; what is left empty is left out."""
        widgets = self._widgets.get(spec.name, {})
        found = ((field, values[widgets[field.name]]) for field in self._fields.get(spec.name, ()))
        return {field.name: _read(field, value) for field, value in found if value not in (None, EMPTY)}

    def filled(self, spec: EngineSpec, options: object) -> Updates:
        """Return the widgets of `spec` as `options` of a request have them, or empty."""
        given = options if isinstance(options, Mapping) else {}
        widgets = self._widgets.get(spec.name, {})
        return {
            widgets[field.name]: _written(field, given.get(field.name))
            for field in self._fields.get(spec.name, ())
        }


def _is_shown(field: OptionField, spec: EngineSpec) -> bool:
    """Tell whether the option has a widget here: not where the form's own "Seamless loop" does it too."""
    return field.name != "loop" or spec.capabilities.loop not in ("wrapped", "back")


def _control(field: OptionField) -> Control:
    """Return the kind of widget: one that can be left empty where the field can."""
    if field.kind == "boolean" and field.default is not None:
        return "checkbox"
    if field.kind in ("boolean", "choice"):
        return "dropdown"
    bounded = field.low is not None and field.high is not None and field.low < field.high
    if field.kind in ("number", "integer") and bounded and field.default is not None:
        return "slider"
    return "text"  # for a number too: Gradio's own cannot be left empty, it becomes 0


def _widget(labels: Labels, engine: str, field: OptionField) -> Any:
    control, value = _control(field), _written(field, None)
    elem_id = f"i2v-option-{engine}-{field.name}"
    choices: Callable[[Language], list[tuple[str, str]]] | None = None
    widget: Any
    if control == "checkbox":
        widget = gr.Checkbox(value, elem_id=elem_id)
    elif control == "slider":
        bounds = (cast("float", field.low), cast("float", field.high))
        widget = Slider(*bounds, value, step=_step(field, *bounds), buttons=[], elem_id=elem_id)
    elif control == "dropdown":
        choices = partial(_choices, engine, field)
        widget = Dropdown(choices("en"), value=value, elem_id=elem_id)
    else:
        placeholder = "" if field.kind in ("text", "json") else field.allowed
        widget = gr.Textbox(value, placeholder=placeholder, max_lines=6, elem_id=elem_id)

    def attributes(language: Language) -> dict[str, Any]:
        label, info = option_label(engine, field, language), option_help(engine, field, language)
        return {"label": label, "info": info or None} | ({"choices": choices(language)} if choices else {})

    return labels.follow(widget, attributes)


def _choices(engine: str, field: OptionField, language: Language) -> list[tuple[str, str]]:
    """Return what a dropdown offers: labels, and values as text."""
    empty = [(text("option.auto", language), EMPTY)] if field.default is None else []
    if field.kind == "boolean":
        return [*empty, (text("option.yes", language), "true"), (text("option.no", language), "false")]
    labels = ((choice_label(engine, field, value, language), _as_text(value)) for value in field.choices)
    return [*empty, *labels]


def _step(field: OptionField, low: float, high: float) -> float:
    if field.kind == "integer":
        return 1
    return float(10.0 ** math.floor(math.log10((high - low) / _SLIDER_STEPS)))


def _read(field: OptionField, value: object) -> object:
    """Return what the widget's `value` stands for; what cannot be read goes on as it is, to be refused."""
    if not isinstance(value, str) or field.kind == "text":
        return value
    if field.kind == "choice":
        return next((choice for choice in field.choices if _as_text(choice) == value), value)
    if field.kind in ("boolean", "json"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value.strip()


def _written(field: OptionField, given: object) -> Any:
    """Return what the widget of `field` holds for the value that was `given`; `None`: none was."""
    value = field.default if given is None else given
    if _control(field) in ("checkbox", "slider"):
        return value
    return EMPTY if value is None else _as_text(value)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
