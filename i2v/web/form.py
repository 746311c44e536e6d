"""What goes in, as widgets: the picture, the sentence, the preset, and the rest folded away.

Owns the widgets and how their values become the fields of a request; which values are allowed is
`GenerationRequest`'s business, since what a browser sends is not bound by a slider. Also the texts of
widgets, which follow the language.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import gradio as gr
from gradio.components import Component
from gradio.data_classes import ImageData
from PIL import Image

from i2v.image import FORMATS
from i2v.jobs import JsonObject
from i2v.schema import MAX_SEED, EngineSpec, Fit, Language, PresetName, Resolution
from i2v.web.texts import TEXTS, text

Values = Mapping[Component, Any]  # what Gradio hands to a function whose inputs are a set
Updates = dict[Any, Any]  # widget -> its new value, or an update of it
Choices = Callable[[Language], list[tuple[str, str]]]
Widget = TypeVar("Widget")

_NUMBERS = ("num_frames", "fps", "num_inference_steps", "guidance_scale")


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


class Form:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels, engines: Mapping[str, EngineSpec]) -> None:
        labels.of(gr.HTML(elem_id="i2v-picture-label"), value="picture.label")
        self.picture = gr.Image(
            type="filepath",
            sources=["upload", "webcam", "clipboard"],
            buttons=[],
            height=300,
            show_label=False,
            placeholder=" · ".join(TEXTS["picture.placeholder"]),
            elem_id="i2v-picture",
        )
        # Gradio's own would open the file with every decoder there is, and fail without a word of ours. An
        # update of this widget would bring it back, in a copy for that visitor: so its texts do not change.
        self.picture.preprocess = _path  # type: ignore[method-assign,assignment]
        self.prompt = labels.of(
            gr.Textbox(lines=2, max_lines=6, elem_id="i2v-prompt"),
            label="prompt.label",
            placeholder="prompt.placeholder",
        )
        presets = _named("preset", PresetName)
        self.preset = labels.of(
            gr.Radio(presets("en"), value="standard", elem_id="i2v-preset"), presets, label="preset.label"
        )
        self._engines = engines

    def advanced(self, labels: Labels) -> None:
        """Make the widgets that stand folded away."""
        with gr.Row():
            self.resolution = labels.of(
                gr.Dropdown(_resolutions("en"), value=""), _resolutions, label="resolution.label"
            )
            fits = _named("fit", Fit)
            self.fit = labels.of(gr.Dropdown(fits("en"), value="keep"), fits, label="fit.label")
        with gr.Row():
            self.num_frames = labels.of(gr.Slider(8, 32, 16, step=1, buttons=[]), label="num_frames.label")
            self.fps = labels.of(gr.Slider(4, 24, 8, step=1, buttons=[]), label="fps.label")
        with gr.Row():
            self.num_inference_steps = labels.of(
                gr.Slider(10, 100, 50, step=1, buttons=[]), label="num_inference_steps.label"
            )
            self.guidance_scale = labels.of(
                gr.Slider(1, 20, 9, step=0.5, buttons=[]), label="guidance_scale.label"
            )
        self.negative_prompt = labels.of(
            gr.Textbox(lines=2), label="negative_prompt.label", placeholder="negative_prompt.placeholder"
        )
        # A text, since Gradio's number cannot be left empty: it becomes 0.
        self.seed = labels.of(gr.Textbox(max_lines=1, elem_id="i2v-seed"), label="seed.label")
        with gr.Row():
            self.dice = labels.of(gr.Button(size="sm"), value="seed.dice")
            self.reuse = labels.of(gr.Button(size="sm"), value="seed.reuse")
        engines = self._engine_choices
        self.engine = labels.of(gr.Dropdown(engines("en"), value="auto"), engines, label="engine.label")

    def _engine_choices(self, language: Language) -> list[tuple[str, str]]:
        known = [(spec.title, name) for name, spec in self._engines.items()]
        return [(text("engine.auto", language), "auto"), *known]

    def settings(self) -> list[Any]:
        """Return the widgets that a plan and advice depend on."""
        return [
            self.picture, self.prompt, self.preset, self.resolution, self.fit, self.num_frames, self.fps,
            self.num_inference_steps, self.guidance_scale, self.engine,
        ]  # fmt: skip

    def sized(self) -> list[Any]:
        """Return the widgets that a preset sets."""
        return [self.resolution, *(getattr(self, name) for name in _NUMBERS)]

    def kept(self) -> list[Any]:
        """Return the widgets that are brought back with a job."""
        return [self.prompt, self.preset, self.fit, self.negative_prompt, *self.sized()]

    def inputs(self) -> set[Any]:
        return {*self.settings(), self.negative_prompt, self.seed}

    def fields(self, values: Values) -> JsonObject:
        """Return the fields of the request that the widgets describe; what is left empty is left out."""
        named = {
            name: values[getattr(self, name)]
            for name in ("preset", "resolution", "fit", *_NUMBERS, "negative_prompt", "seed", "engine")
        }
        given = {name: value for name, value in named.items() if value not in (None, "")}
        if given.get("engine") == "auto":
            del given["engine"]  # as the settings have it
        return {"prompt": values[self.prompt] or "", **given}

    def numbers(self, options: Mapping[str, object]) -> Updates:
        """Return the sliders as a generation has them."""
        return {getattr(self, name): options[name] for name in _NUMBERS}

    def of_job(self, request: Mapping[str, object], generation: Mapping[str, object]) -> Updates:
        """Return the widgets as they were when a job was asked for, but for its picture and its seed."""
        kept = {
            self.prompt: request.get("prompt", ""),
            self.preset: request.get("preset", "standard"),
            self.resolution: request.get("resolution", ""),
            self.fit: request.get("fit", "keep"),
            self.negative_prompt: request.get("negative_prompt", ""),
        }
        return kept | self.numbers(generation)

    def picture_size(self, values: Values) -> tuple[int, int] | None:
        """Return (width, height) by the file's header; `None` where there is no picture to speak of."""
        path = values[self.picture]
        if not path:
            return None
        try:
            with Image.open(path, formats=FORMATS) as header:
                return header.size
        except (OSError, ValueError, Image.DecompressionBombError):  # `submit` will say what is wrong with it
            return None

    def picture_bytes(self, values: Values) -> bytes | None:
        path = values[self.picture]
        return Path(path).read_bytes() if path else None


def draw_seed() -> str:
    return str(secrets.randbelow(MAX_SEED + 1))


def _path(uploaded: ImageData | None) -> str | None:
    """Return where the picture lies; Gradio has seen to it that this is in its own folder."""
    return uploaded.path if uploaded else None


def _named(family: str, names: object) -> Choices:
    return lambda language: [(text(f"{family}.{name}", language), name) for name in get_args(names)]


def _resolutions(language: Language) -> list[tuple[str, str]]:
    return [(text("resolution.preset", language), ""), *((name, name) for name in get_args(Resolution))]
