"""What goes in, as widgets: the picture, the sentence, the preset, the model, and the rest folded away.

Owns the widgets, which of them an engine has a use for, and how their values become the fields of a request;
which values are allowed is `GenerationRequest`'s business, since what a browser sends is not bound by a
slider. Knows engines by their `Capabilities` alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from i2v.core.engine_spec import ANY_STEPS, EngineSpec, FrameCounts
from i2v.core.file_names import cleaned
from i2v.core.schema import MAX_SEED, Fit, Language, PresetName, Resolution, Speed
from i2v.core.styles import StyleName
from i2v.jobs.model import JsonObject
from i2v.media.upscale import NETWORKS, is_installed
from i2v.web.page.prompt_helper import is_helped, prompt_helper
from i2v.web.page.starting_points import prompt_menu
from i2v.web.page.tabs.added import AddedFields, Names
from i2v.web.page.tabs.cards import EngineCards
from i2v.web.page.tabs.cropping import Cropping
from i2v.web.page.tabs.options import OptionWidgets
from i2v.web.page.tabs.own_presets import OwnPresets
from i2v.web.page.tabs.picture_field import picture_field
from i2v.web.page.tabs.pictures import MorePictures
from i2v.web.page.tabs.showing import Place
from i2v.web.page.tabs.sound import SoundFields
from i2v.web.page.tabs.story import StoryFields
from i2v.web.page.tabs.widgets import (
    Choices,
    Dropdown,
    Labels,
    Slider,
    Updates,
    Values,
    acting_html,
    merged,
)
from i2v.web.page.uploads import read_upload
from i2v.web.texts import TEXTS, text

OUTPUT_RATES = (24, 25, 30, 48, 50, 60, 120)  # frames per second that videos usually have
NUMBERS = ("num_frames", "fps", "num_inference_steps", "guidance_scale")
# What a request that was made elsewhere settles, and what its silence means.
_SETTLED = {
    "prompt": "", "preset": "standard", "resolution": "", "negative_prompt": "", "speed": "auto",
    "output_fps": "", "upscaler": "", "style": "",
}  # fmt: skip
_ASKED = (
    "style", "preset", "resolution", "fit", *NUMBERS, "output_fps", "upscaler", "speed", "negative_prompt",
    "seed", "engine", "device",
)  # fmt: skip
# What may be typed instead of a resolution: width and height.
_EXACT_SIZE = re.compile(r"(\d{1,5})\s*[xX×*]\s*(\d{1,5})")
# Those that are of use only where a capability of the same name says so.
_OPTIONAL = ("negative_prompt", "guidance_scale", "num_inference_steps", "speed", "seed")


class Form:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(
        self,
        labels: Labels,
        engines: Mapping[str, EngineSpec],
        devices: Callable[[], Sequence[str]] = lambda: (),
        names: Names = lambda kind: [],
        voices: Callable[[], list[str]] = lambda: [],
    ) -> None:
        """Make them.

        Args:
            devices: the ids of those that there are; with several, people choose.
            names: of the LoRAs and the checkpoints that there are.
            voices: names of those of Piper that there are.
        """
        with gr.Row(elem_id="i2v-picture-head"):
            labels.of(gr.HTML(elem_id="i2v-picture-label"), value="picture.label")
            self.cropping = Cropping(labels)
        self.picture = picture_field(
            172, "i2v-picture", ("upload", "webcam", "clipboard"), " · ".join(TEXTS["picture.placeholder"])
        )
        self.picture_error = gr.HTML(elem_id="i2v-picture-error")
        # What of the picture is cut, over it and below it; its button keeps all of it.
        self.cut = acting_html("i2v-cut")
        with gr.Column(elem_id="i2v-words"):
            self.prompt = labels.of(
                gr.Textbox(lines=2, max_lines=6, elem_id="i2v-prompt"),
                label="prompt.label",
                placeholder="prompt.placeholder",
            )
            labels.follow(gr.HTML(elem_id="i2v-prompts"), prompt_menu)
        self.motions = acting_html("i2v-motions")
        self.helper = labels.follow(gr.HTML(elem_id="i2v-helper"), prompt_helper)
        self.prompt_error = gr.HTML(elem_id="i2v-prompt-error")
        presets = _named("preset", PresetName)
        self._engines = engines
        self._devices = devices
        with gr.Column(elem_id="i2v-choices"):
            self.preset = labels.of(
                gr.Radio(presets("en"), value="standard", elem_id="i2v-preset"), presets, label="preset.label"
            )
            self.cards = EngineCards(labels, engines)
            self.engine = self.cards.engine
        self._names, self._voices = names, voices
        # Where a prompt is written: the batch adds its own.
        self.prompts: list[Any] = [self.prompt]
        # What makes no sense without a seed: the tab adds its own.
        self.with_seed: list[Any] = []

    def further(self, labels: Labels) -> None:
        """Make what a clip can be made with besides, folded away below the button, which stays in sight."""
        self.pictures = MorePictures(labels)
        self.story = StoryFields(labels)
        self.added = AddedFields(labels, self._names)
        self.sound = SoundFields(labels, self._voices)

    def advanced(self, labels: Labels) -> None:
        """Make the widgets that stand folded away."""
        self.own = OwnPresets(labels)
        self.options = OptionWidgets(labels, self._engines)
        self.style = labels.of(
            Dropdown(_styles("en"), value="", elem_id="i2v-style"),
            _styles,
            label="style.label",
            info="style.help",
        )
        with gr.Row():
            self.resolution = labels.of(
                Dropdown(_resolutions("en"), value="", allow_custom_value=True, elem_id="i2v-resolution"),
                _resolutions,
                label="resolution.label",
                info="resolution.help",
            )
            # Its choices are those of an engine: see `fits`.
            self.fit = labels.of(
                Dropdown(_named("fit", Fit)("en"), value="keep"), label="fit.label", info="fit.help"
            )
        self._lengths(labels)
        self._steps(labels)
        self._where_and_seed(labels)

    def _lengths(self, labels: Labels) -> None:
        self.num_frames = labels.of(
            Slider(4, 128, 16, step=1, buttons=[], elem_id="i2v-num-frames"),
            label="num_frames.label",
            info="num_frames.help",
        )
        # For engines that make only a few numbers of frames.
        self.num_frames_of = labels.of(
            Dropdown([], visible=False, elem_id="i2v-num-frames-of"),
            label="num_frames.label",
            info="num_frames.help",
        )
        self.fps = labels.of(
            Slider(1, 60, 8, step=1, buttons=[], elem_id="i2v-fps"), label="fps.label", info="fps.help"
        )
        self.output_fps = labels.of(
            Dropdown(_rates("en"), value="", elem_id="i2v-output-fps"),
            _rates,
            label="output_fps.label",
            info="output_fps.help",
        )
        networks = [name for name in NETWORKS if is_installed(name)]
        self.upscaler = labels.of(
            Dropdown(_upscalers(networks)("en"), value="", visible=bool(networks), elem_id="i2v-upscaler"),
            _upscalers(networks),
            label="upscaler.label",
            info="upscaler.help",
        )

    def _steps(self, labels: Labels) -> None:
        self.num_inference_steps = labels.of(
            Slider(10, 100, 50, step=1, buttons=[], elem_id="i2v-steps"),
            label="num_inference_steps.label",
            info="num_inference_steps.help",
        )
        self.guidance_scale = labels.of(
            Slider(1, 20, 9, step=0.5, buttons=[], elem_id="i2v-guidance"),
            label="guidance_scale.label",
            info="guidance_scale.help",
        )
        speeds = _named("speed", Speed)
        self.speed = labels.of(
            Dropdown(speeds("en"), value="auto", elem_id="i2v-speed"),
            speeds,
            label="speed.label",
            info="speed.help",
        )
        self.negative_prompt = labels.of(
            gr.Textbox(lines=2, elem_id="i2v-negative-prompt"),
            label="negative_prompt.label",
            info="negative_prompt.help",
            placeholder="negative_prompt.placeholder",
        )

    def _where_and_seed(self, labels: Labels) -> None:
        # Its choices are what there is: see `choices`.
        self.device = labels.of(
            Dropdown([("", "")], value="", visible=False, elem_id="i2v-device"),
            label="device.label",
            info="device.help",
        )
        # A text, since Gradio's number cannot be left empty: it becomes 0.
        self.seed = labels.of(
            gr.Textbox(max_lines=1, elem_id="i2v-seed"), label="seed.label", info="seed.help"
        )
        with gr.Row() as seeds:
            self.dice = labels.of(gr.Button(size="sm"), value="seed.dice")
            self.reuse = labels.of(gr.Button(size="sm"), value="seed.reuse")
        self.with_seed.append(seeds)

    def beginnings(self) -> None:
        """Make what there is to begin with, as long as there is no picture."""
        self.examples = acting_html("i2v-examples")

    def settings(self) -> list[Any]:
        """Return the widgets that a plan and advice depend on."""
        return [
            self.picture, self.prompt, self.style, self.preset, self.engine, self.resolution, self.fit,
            self.num_frames, self.num_frames_of, self.fps, self.output_fps, self.upscaler,
            self.num_inference_steps, self.guidance_scale, self.speed, self.device, *self.cropping.widgets(),
            *self.options.widgets(), *self.pictures.widgets(), *self.added.widgets(), *self.story.widgets(),
        ]  # fmt: skip

    def shaped(self) -> list[Any]:
        """Return the widgets that `shape` and `choices` change."""
        return [
            self.preset, *self.prompts, self.style, self.resolution, self.fit, self.num_frames_of,
            *self.with_seed, self.device, self.helper,
            *(getattr(self, name) for name in (*NUMBERS, *_OPTIONAL)), *self.options.groups(),
            *self.pictures.groups(), *self.added.groups(), *self.story.groups(), *self.sound.groups(),
        ]  # fmt: skip

    def kept(self) -> list[Any]:
        """Return the widgets, but for the picture, that are brought back with a job or a clip's settings."""
        known = [self.engine, *self.shaped(), *self.options.widgets(), *self.cropping.widgets()]
        known += [*self.added.fields(), *self.story.widgets(), *self.sound.fields()]
        known += [self.output_fps, self.upscaler]
        return list(dict.fromkeys(known))

    def inputs(self) -> set[Any]:
        return {*self.settings(), self.negative_prompt, self.seed, *self.sound.widgets()}

    def errors(self) -> dict[Place, Any]:
        """Return where it is said that something is wrong with a field, by the field."""
        return {"picture": self.picture_error, "prompt": self.prompt_error}

    def value_at(self, place: Place, values: Values) -> object:
        """Return what stands where an error may be said: it is mended when that is something else."""
        if place in ("picture", "prompt"):
            return values[getattr(self, place)]
        more = (self.negative_prompt, self.seed, *self.sound.widgets())
        return [values[widget] for widget in (*self.settings(), *more)]

    def engine_named(self, values: Values) -> str:
        """Return the name of the engine that is chosen, "auto" for that of the settings."""
        return str(values[self.engine] or "auto")

    def fields(self, values: Values, spec: EngineSpec) -> JsonObject:
        """Return the fields of a request to `spec` that the widgets describe.

        What is left empty is left out, and so is what `spec` has no use for: its widget is not shown.
        """
        can = spec.capabilities
        named = {name: values[getattr(self, name)] for name in _ASKED if _is_of_use(name, spec)}
        if can.num_frames.only:
            named["num_frames"] = values[self.num_frames_of]
        given = {name: value for name, value in named.items() if value not in (None, "")}
        for name in ("engine", "speed"):
            if given.get(name) == "auto":
                del given[name]  # as the settings, or the weights, have it
        if exact := _EXACT_SIZE.fullmatch(str(given.get("resolution", "")).strip()):
            del given["resolution"]
            given |= {"width": int(exact[1]), "height": int(exact[2])}
        if crop := self.cropping.field(values):
            given["crop"] = crop
        if options := self.options.given(values, spec):
            given["options"] = options
        given |= self.added.given(values, spec) | self.story.given(values, spec)
        if inputs := self.pictures.given(values, spec):
            given["inputs"] = inputs
        given |= self.sound.given(values)
        return {"prompt": (values[self.prompt] or "") if can.prompt != "none" else "", **given}

    def choices(
        self, spec: EngineSpec, language: Language, fit: object = "keep", preset: object = "standard"
    ) -> Updates:
        """Return what `spec` lets people choose from in words, with what is chosen.

        Those are the ways with a picture of another shape, and the presets that differ: one that a program
        has asked for is there as well.
        """
        ways = spec.capabilities.fits
        fits = [(text(f"fit.{way}", language), way) for way in ways]
        names = [name for name in get_args(PresetName) if name in spec.offered or name == preset]
        presets = [(text(f"preset.{name}", language), name) for name in names]
        return {
            self.fit: gr.update(choices=fits, value=fit if fit in ways else ways[0], visible=len(ways) > 1),
            self.preset: gr.update(choices=presets, value=preset if preset in names else "standard"),
            self.device: self._device_choices(language),
            **self.added.shown(spec, language),
            **self.sound.shown(language),
        }

    def _device_choices(self, language: Language) -> Any:
        ids = list(dict.fromkeys(filter(None, self._devices())))
        choices = [(text("device.any", language), ""), *((name, name) for name in ids)]
        return gr.update(choices=choices, visible=len(ids) > 1)

    def shape(self, spec: EngineSpec, numbers: Mapping[str, object]) -> Updates:
        """Return the updates that show what can be asked of `spec`, with the `numbers` of a generation.

        All but its `choices`: those are said in a language.
        """
        can, frames = spec.capabilities, spec.capabilities.num_frames
        shown = {getattr(self, name): gr.update(visible=getattr(can, name)) for name in _OPTIONAL}
        shown[self.style] = gr.update(visible=spec.takes_style)
        shown |= {prompt: gr.update(visible=can.prompt != "none") for prompt in self.prompts}
        shown |= {each: gr.update(visible=can.seed) for each in self.with_seed}
        shown[self.helper] = gr.update(visible=is_helped(spec))
        ranges = {
            "num_frames": (frames.least, frames.most, frames.step), "fps": (*can.fps, 1),
            "num_inference_steps": _steps(can.step_counts), "guidance_scale": (1, 20, 0.5),
        }  # fmt: skip
        ranged = {
            getattr(self, name): _reaching(cast("float", numbers[name]), *bounds)
            for name, bounds in ranges.items()
            if numbers.get(name) is not None and getattr(can, name)
        }
        lengths = {
            self.num_frames: gr.update(visible=not frames.only and frames.least < frames.most),
            self.num_frames_of: gr.update(
                visible=len(frames.only) > 1, choices=list(frames.only), value=_one_of(frames, numbers)
            ),
            self.fps: gr.update(visible=can.fps[0] < can.fps[1]),
        }
        more = (each.shown(spec) for each in (self.options, self.pictures, self.story))
        return merged(shown, ranged, lengths, *more)

    def filled(self, fields: Mapping[str, object], spec: EngineSpec) -> Updates:
        """Return the widgets as the fields of a request to `spec` have them, but for numbers and seed."""
        settled = {name: fields.get(name, silence) for name, silence in _SETTLED.items()}
        rate = settled["output_fps"]
        settled["output_fps"] = str(rate) if rate in OUTPUT_RATES else ""
        if settled["upscaler"] != "lanczos" and not _is_here(settled["upscaler"]):
            settled["upscaler"] = ""
        filled = {getattr(self, name): value for name, value in settled.items()}
        filled |= self.added.filled(fields) | self.story.filled(fields) | self.sound.filled(fields)
        filled |= self.cropping.filled(fields.get("crop"))
        device = fields.get("device")
        filled[self.device] = device if device in self._devices() else ""
        if fields.get("width") and fields.get("height"):
            filled[self.resolution] = f"{fields['width']} x {fields['height']}"
        return filled | self.options.filled(spec, fields.get("options"))

    def repeated(self, fields: Mapping[str, object], spec: EngineSpec) -> Updates:
        """Return the same with the seed and the model too: what makes a clip again."""
        seed, engine = fields.get("seed", ""), fields.get("engine", "auto")
        return self.filled(fields, spec) | {self.seed: str(seed), self.engine: engine}

    def placed(self, values: Values, picture: bytes | None, name: str = "") -> Updates:
        """Return the picture's widget with `picture`, a file, in it; `None`: as it is.

        name: what its file was called, if that is known.
        """
        if picture is None:
            return {self.picture: values[self.picture]}
        file = f"{cleaned(Path(name).stem) or 'picture'}.png"
        return {self.picture: save_bytes_to_cache(picture, file, self.picture.GRADIO_CACHE)}

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


def _is_of_use(name: str, spec: EngineSpec) -> bool:
    if name == "style":
        return spec.takes_style
    return name not in _OPTIONAL or bool(getattr(spec.capabilities, name))


def _reaching(value: float, low: float, high: float, step: float) -> Any:
    """Return what puts `value` into a slider: it refuses what it does not reach, so then it is longer."""
    return gr.update(value=value, minimum=min(low, value), maximum=max(high, value), step=step)


def _steps(counts: FrameCounts) -> tuple[float, float, float]:
    """Return bounds and step of the slider: of those that people use, where the engine takes any number."""
    if counts == ANY_STEPS:
        return 10, 100, 1
    if counts.only:
        low, high = min(counts.only), max(counts.only)
        return low, high, (high - low) / max(1, len(counts.only) - 1)
    return counts.least, counts.most, counts.step


def _one_of(frames: FrameCounts, numbers: Mapping[str, object]) -> int | None:
    return frames.nearest(cast("int", numbers["num_frames"])) if frames.only else None


def _named(family: str, names: object) -> Choices:
    return lambda language: [(text(f"{family}.{name}", language), name) for name in get_args(names)]


def _styles(language: Language) -> list[tuple[str, str]]:
    return [(text("style.none", language), ""), *_named("style", StyleName)(language)]


def _rates(language: Language) -> list[tuple[str, str]]:
    named = [(text("output_fps.value", language, fps=fps), str(fps)) for fps in OUTPUT_RATES]
    return [(text("output_fps.same", language), ""), *named]


def _is_here(upscaler: object) -> bool:
    return upscaler in NETWORKS and is_installed(str(upscaler))


def _upscalers(networks: Sequence[str]) -> Choices:
    """Return the choices where these networks are installed."""
    return lambda language: [
        (text("upscaler.server", language), ""),
        (text("upscaler.lanczos", language), "lanczos"),
        *((NETWORKS[name].title, name) for name in networks),
    ]


def _resolutions(language: Language) -> list[tuple[str, str]]:
    return [(text("resolution.preset", language), ""), *((name, name) for name in get_args(Resolution))]
