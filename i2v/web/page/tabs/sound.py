"""Fields for the clip's sound: a file and how it is used, and a text that is spoken.

Owns the widgets and how they become a request's `sound` and `narration`. Whether the file can be read is said
when the clip is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from i2v.core.schema import Language
from i2v.core.sound import MAX_TEXT, MAX_VOLUME
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Dropdown, Labels, Slider, Updates, Values, dropped_files
from i2v.web.page.uploads import read_upload, uploaded
from i2v.web.texts import text

KINDS = (".mp3", ".m4a", ".wav", ".flac", ".ogg", ".opus")
_DEFAULTS: dict[str, float | bool] = {
    "start": 0, "fade_in": 0, "fade_out": 0, "volume": 1, "loop": False,
}  # fmt: skip


class SoundFields:
    """The widgets, made where this is called within a `gr.Blocks`.

    voices: the names of Piper's voices that there are, asked whenever the fields are shown.
    """

    def __init__(self, labels: Labels, voices: Callable[[], list[str]] = lambda: []) -> None:
        self._voices = voices
        with labels.of(gr.Accordion(open=False, elem_id="i2v-sound"), label="sound.label"):
            self.file = dropped_files("i2v-sound-file", "sound.file", labels, *KINDS)
            with gr.Row():
                start = _slider("start", 600, 0.1, labels, "sound.start")
                volume = _slider("volume", MAX_VOLUME, 0.05, labels, "sound.volume")
            with gr.Row():
                fade_in = _slider("fade_in", 10, 0.1, labels, "sound.fade_in")
                fade_out = _slider("fade_out", 10, 0.1, labels, "sound.fade_out")
            loop = labels.of(gr.Checkbox(False, elem_id="i2v-sound-loop"), label="sound.loop")
            self.narration = labels.of(
                gr.Textbox(lines=2, max_lines=6, max_length=MAX_TEXT, elem_id="i2v-narration"),
                label="narration.label",
                info="narration.help",
            )
            with gr.Row():
                self.voice = labels.of(
                    Dropdown(self._voice_choices("en"), value="", elem_id="i2v-narration-voice"),
                    label="narration.voice",
                )
                self.fit = labels.of(
                    Dropdown(_fits("en"), value="hold", elem_id="i2v-narration-fit"),
                    _fits,
                    label="narration.fit",
                )
        self._settings: dict[str, Any] = {
            "start": start, "fade_in": fade_in, "fade_out": fade_out, "volume": volume, "loop": loop,
        }  # fmt: skip

    def widgets(self) -> list[Any]:
        return [self.file, *self.fields()]

    def fields(self) -> list[Any]:
        """Return the widgets that `filled` changes."""
        return [*self._settings.values(), self.narration, self.voice, self.fit]

    def groups(self) -> list[Any]:
        """Return the widgets that `shown` changes."""
        return [self.voice]

    def shown(self, language: Language) -> Updates:
        """Return the updates that offer the voices that there are now."""
        return {self.voice: gr.update(choices=self._voice_choices(language))}

    def given(self, values: Values) -> JsonObject:
        """Return the fields of a request: no sound without a file, no narration without a text."""
        given: JsonObject = {}
        if self._path(values) is not None:
            given["sound"] = {name: values[widget] for name, widget in self._settings.items()}
        if (values[self.narration] or "").strip():
            chosen = {"voice": values[self.voice] or "", "fit": values[self.fit] or "hold"}
            given["narration"] = {"text": values[self.narration], **chosen}
        return given

    def files(self, values: Values) -> tuple[bytes, ...]:
        """Return the sound's file, if there is one; raises as `read_upload` does."""
        path = self._path(values)
        return () if path is None else (read_upload(path),)

    def filled(self, fields: Mapping[str, object]) -> Updates:
        """Return the widgets, but for the file, as the fields of a request have them."""
        sound = fields.get("sound")
        given = sound if isinstance(sound, Mapping) else {}
        filled = {widget: given.get(name, _DEFAULTS[name]) for name, widget in self._settings.items()}
        narration = fields.get("narration")
        spoken = narration if isinstance(narration, Mapping) else {}
        filled[self.narration] = spoken.get("text", "")
        filled[self.voice] = gr.update(value=spoken.get("voice", ""))
        return filled | {self.fit: spoken.get("fit", "hold")}

    def _voice_choices(self, language: Language) -> list[tuple[str, str]]:
        return [(text("narration.espeak", language), ""), *((name, name) for name in self._voices())]

    def placed(self, values: Values, file: bytes | None, keep: bool = False) -> Updates:
        """Return the file's widget with the kept sound of a job in it, or empty; with `keep`, as it is."""
        if keep:
            path = self._path(values)
            return {self.file: None if path is None else str(path)}
        name = "sound.wav"
        return {self.file: None if file is None else save_bytes_to_cache(file, name, self.file.GRADIO_CACHE)}

    def _path(self, values: Values) -> Path | None:
        """Return where the file lies: what arrives is a path, or a list of them."""
        value = values[self.file]
        first = (value[0] if value else None) if isinstance(value, list) else value
        return None if first is None else uploaded(first, Path(self.file.GRADIO_CACHE))


def _slider(name: str, most: float, step: float, labels: Labels, label: str) -> Any:
    slider = Slider(0, most, _DEFAULTS[name], step=step, buttons=[], elem_id=f"i2v-sound-{name}")
    return labels.of(slider, label=label)


def _fits(language: Language) -> list[tuple[str, str]]:
    return [(text("narration.hold", language), "hold"), (text("narration.speed", language), "speed")]
