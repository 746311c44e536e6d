"""What goes in, as widgets: the picture, the sentence, the preset, and the rest folded away.

Owns the widgets and how their values become the fields of a request; which values are allowed is
`GenerationRequest`'s business, since what a browser sends is not bound by a slider.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gradio as gr
from gradio.data_classes import ImageData
from gradio.processing_utils import save_bytes_to_cache

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import MAX_SEED, Fit, Language, PresetName, Resolution, Speed
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Choices, Labels, Updates, Values
from i2v.web.page.uploads import read_upload, uploaded
from i2v.web.texts import TEXTS, model_title, text

_NUMBERS = ("num_frames", "fps", "num_inference_steps", "guidance_scale")
# What a request that was made elsewhere settles, and what its silence means; `None`: the widget stays.
_SETTLED: dict[str, str | None] = {
    "prompt": "", "preset": "standard", "resolution": "", "fit": "keep", "negative_prompt": "",
    "speed": "auto", **dict.fromkeys(_NUMBERS),
}  # fmt: skip
# What a request has of the widgets, where it is not left empty.
_ASKED = ("preset", "resolution", "fit", *_NUMBERS, "speed", "negative_prompt", "seed", "engine")


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
        # update of this widget would bring them back, in a copy for that visitor, and so would its absence
        # among a handler's answers: its texts do not change, and who may answer with it always does.
        self.picture.preprocess = partial(_path, Path(self.picture.GRADIO_CACHE))  # type: ignore[method-assign]
        self.picture.postprocess = _shown  # type: ignore[method-assign,assignment]
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
        self.num_frames = labels.of(gr.Slider(8, 32, 16, step=1, buttons=[]), label="num_frames.label")
        self.fps = labels.of(gr.Slider(4, 24, 8, step=1, buttons=[]), label="fps.label")
        self.num_inference_steps = labels.of(
            gr.Slider(10, 100, 50, step=1, buttons=[]), label="num_inference_steps.label"
        )
        self.guidance_scale = labels.of(
            gr.Slider(1, 20, 9, step=0.5, buttons=[]), label="guidance_scale.label"
        )
        speeds = _named("speed", Speed)
        self.speed = labels.of(gr.Dropdown(speeds("en"), value="auto"), speeds, label="speed.label")
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
        known = [(model_title(spec.title, language), name) for name, spec in self._engines.items()]
        return [(text("engine.auto", language), "auto"), *known]

    def settings(self) -> list[Any]:
        """Return the widgets that a plan and advice depend on."""
        return [
            self.picture, self.prompt, self.preset, self.resolution, self.fit, self.num_frames, self.fps,
            self.num_inference_steps, self.guidance_scale, self.speed, self.engine,
        ]  # fmt: skip

    def sized(self) -> list[Any]:
        """Return the widgets that a preset sets."""
        return [self.resolution, *(getattr(self, name) for name in _NUMBERS)]

    def kept(self) -> list[Any]:
        """Return the widgets, but for the picture, that are brought back with a job or a clip's settings."""
        return [
            self.prompt, self.preset, self.fit, self.negative_prompt, self.seed, self.speed,
            self.engine, *self.sized(),
        ]  # fmt: skip

    def inputs(self) -> set[Any]:
        return {*self.settings(), self.negative_prompt, self.seed}

    def fields(self, values: Values) -> JsonObject:
        """Return the fields of the request that the widgets describe; what is left empty is left out."""
        named = {name: values[getattr(self, name)] for name in _ASKED}
        given = {name: value for name, value in named.items() if value not in (None, "")}
        for name in ("engine", "speed"):
            if given.get(name) == "auto":
                del given[name]  # as the settings, or the weights, have it
        return {"prompt": values[self.prompt] or "", **given}

    def numbers(self, options: Mapping[str, object]) -> Updates:
        """Return the sliders as a generation has them."""
        return {getattr(self, name): self._reached(name, options[name]) for name in _NUMBERS}

    def _reached(self, name: str, value: Any) -> Any:
        """Return what puts `value` into a widget: a slider refuses what it does not reach, so it grows."""
        slider = getattr(self, name)
        if name not in _NUMBERS or slider.minimum <= value <= slider.maximum:
            return value
        lowest, highest = min(slider.minimum, value), max(slider.maximum, value)
        return gr.update(value=value, minimum=lowest, maximum=highest)

    def filled(self, fields: Mapping[str, object]) -> Updates:
        """Return the widgets as the fields of a request have them, but for the seed."""
        settled = {name: fields.get(name, silence) for name, silence in _SETTLED.items()}
        told = {name: value for name, value in settled.items() if value is not None}
        return {getattr(self, name): self._reached(name, value) for name, value in told.items()}

    def repeated(self, fields: Mapping[str, object]) -> Updates:
        """Return the same with the seed and the model too: what makes a clip again."""
        seed, engine = fields.get("seed", ""), fields.get("engine", "auto")
        return self.filled(fields) | {self.seed: str(seed), self.engine: engine}

    def placed(self, values: Values, picture: bytes | None) -> Updates:
        """Return the picture's widget with `picture`, a PNG file, in it; `None`: as it is."""
        if picture is None:
            return {self.picture: values[self.picture]}
        return {self.picture: save_bytes_to_cache(picture, "picture.png", self.picture.GRADIO_CACHE)}

    def picture_path(self, values: Values) -> Path | None:
        """Return where the picture lies that was put in; nothing is known of it."""
        path = values[self.picture]
        return Path(path) if path else None

    def picture_bytes(self, values: Values) -> bytes | None:
        """Return the picture's file, `None` if there is none; raises as `read_upload` does."""
        path = self.picture_path(values)
        return read_upload(path) if path else None


def draw_seed() -> str:
    return str(secrets.randbelow(MAX_SEED + 1))


def _path(folder: Path, picture: ImageData | None) -> str | None:
    return str(uploaded(picture.path, folder)) if picture else None


def _shown(path: str | None) -> ImageData | None:
    return ImageData(path=path, orig_name=Path(path).name) if path else None


def _named(family: str, names: object) -> Choices:
    return lambda language: [(text(f"{family}.{name}", language), name) for name in get_args(names)]


def _resolutions(language: Language) -> list[tuple[str, str]]:
    return [(text("resolution.preset", language), ""), *((name, name) for name in get_args(Resolution))]
