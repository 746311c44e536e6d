"""Fields for the clip's sound: a file, and how it is used.

Owns the widgets and how they become a request's `sound`. Whether the file can be read is said when the clip
is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from i2v.core.sound import MAX_VOLUME
from i2v.jobs.model import JsonObject
from i2v.web.page.tabs.widgets import Labels, Slider, Updates, Values, dropped_files
from i2v.web.page.uploads import read_upload, uploaded

KINDS = (".mp3", ".m4a", ".wav", ".flac", ".ogg", ".opus")
_DEFAULTS: dict[str, float | bool] = {
    "start": 0, "fade_in": 0, "fade_out": 0, "volume": 1, "loop": False,
}  # fmt: skip


class SoundFields:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels) -> None:
        with labels.of(gr.Accordion(open=False, elem_id="i2v-sound"), label="sound.label"):
            self.file = dropped_files("i2v-sound-file", "sound.file", labels, *KINDS)
            with gr.Row():
                start = _slider("start", 600, 0.1, labels, "sound.start")
                volume = _slider("volume", MAX_VOLUME, 0.05, labels, "sound.volume")
            with gr.Row():
                fade_in = _slider("fade_in", 10, 0.1, labels, "sound.fade_in")
                fade_out = _slider("fade_out", 10, 0.1, labels, "sound.fade_out")
            loop = labels.of(gr.Checkbox(False, elem_id="i2v-sound-loop"), label="sound.loop")
        self._settings: dict[str, Any] = {
            "start": start, "fade_in": fade_in, "fade_out": fade_out, "volume": volume, "loop": loop,
        }  # fmt: skip

    def widgets(self) -> list[Any]:
        return [self.file, *self._settings.values()]

    def fields(self) -> list[Any]:
        """Return the widgets that `filled` changes."""
        return list(self._settings.values())

    def given(self, values: Values) -> JsonObject:
        """Return the fields of a request: nothing where no file is there."""
        if self._path(values) is None:
            return {}
        return {"sound": {name: values[widget] for name, widget in self._settings.items()}}

    def files(self, values: Values) -> tuple[bytes, ...]:
        """Return the sound's file, if there is one; raises as `read_upload` does."""
        path = self._path(values)
        return () if path is None else (read_upload(path),)

    def filled(self, fields: Mapping[str, object]) -> Updates:
        """Return the widgets, but for the file, as the fields of a request have them."""
        sound = fields.get("sound")
        given = sound if isinstance(sound, Mapping) else {}
        return {widget: given.get(name, _DEFAULTS[name]) for name, widget in self._settings.items()}

    def placed(self, values: Values, file: bytes | None, keep: bool = False) -> Updates:
        """Return the file's widget with the kept sound of a job in it, or empty; with `keep`, as it is."""
        if keep:
            path = self._path(values)
            return {self.file: None if path is None else str(path)}
        name = "sound.flac"
        return {self.file: None if file is None else save_bytes_to_cache(file, name, self.file.GRADIO_CACHE)}

    def _path(self, values: Values) -> Path | None:
        """Return where the file lies: what arrives is a path, or a list of them."""
        value = values[self.file]
        first = (value[0] if value else None) if isinstance(value, list) else value
        return None if first is None else uploaded(first, Path(self.file.GRADIO_CACHE))


def _slider(name: str, most: float, step: float, labels: Labels, label: str) -> Any:
    slider = Slider(0, most, _DEFAULTS[name], step=step, buttons=[], elem_id=f"i2v-sound-{name}")
    return labels.of(slider, label=label)
