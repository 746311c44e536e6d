"""Fields for pictures besides the first one, for engines that take them: keyframes, last frame, mask, style.

Owns the widgets and how they become a request's `inputs`. Which frames a clip has is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Language
from i2v.jobs.model import JsonObject
from i2v.web.page.mask_drawing import mask_drawing
from i2v.web.page.tabs.picture_field import picture_field
from i2v.web.page.tabs.widgets import Labels, Updates, Values
from i2v.web.page.uploads import read_upload
from i2v.web.texts import text

_FRAMES = ("4", "8", "12")  # what the fields for keyframes begin with: quarters of a clip of 16


class MorePictures:
    """The widgets, made where this is called within a `gr.Blocks`; none is shown at first."""

    def __init__(self, labels: Labels) -> None:
        self._keyframes: list[tuple[Any, Any]] = []  # picture, number of the frame
        self._columns: list[gr.Column] = []
        with labels.of(
            gr.Accordion(open=False, visible=False, elem_id="i2v-pictures"), label="pictures.label"
        ) as self._group:
            self._help = labels.of(gr.HTML(), value="pictures.help")
            self._more = gr.HTML()
            with gr.Row():
                for number, frame in enumerate(_FRAMES, 1):
                    with gr.Column(min_width=120) as column:
                        picture = picture_field(110, f"i2v-keyframe-{number}", ("upload",), "+")
                        field = labels.of(
                            gr.Textbox(frame, max_lines=1, elem_id=f"i2v-keyframe-{number}-frame"),
                            label="pictures.frame",
                        )
                    self._keyframes.append((picture, field))
                    self._columns.append(column)
                with gr.Column(min_width=120) as self._last_column:
                    self._last = picture_field(110, "i2v-last-image", ("upload",), "+")
                    labels.of(gr.HTML(elem_id="i2v-last-image-label"), value="pictures.last")
                with gr.Column(min_width=120) as self._mask_column:
                    self._mask = picture_field(110, "i2v-motion-mask", ("upload",), "+")
                    labels.of(gr.HTML(elem_id="i2v-motion-mask-label"), value="pictures.mask")
                    labels.follow(gr.HTML(elem_id="i2v-motion-mask-draw"), mask_drawing)
                with gr.Column(min_width=120) as self._style_column:
                    self._style = picture_field(110, "i2v-style-image", ("upload",), "+")
                    labels.of(gr.HTML(elem_id="i2v-style-image-label"), value="pictures.style")
        self._single = {"last_image": self._last, "motion_mask": self._mask, "style_image": self._style}

    def widgets(self) -> list[Any]:
        return [*self._single.values(), *(widget for pair in self._keyframes for widget in pair)]

    def groups(self) -> list[Any]:
        """Return the widgets that `shown` changes: none of the pictures, which must stay as they are."""
        columns = [self._last_column, self._mask_column, self._style_column]
        return [self._group, self._help, *self._columns, *columns]

    def shown(self, spec: EngineSpec) -> Updates:
        """Return the updates with which only what `spec` takes is shown."""
        takes = spec.capabilities.inputs
        return {
            self._group: gr.update(visible=takes != ("image",)),
            self._help: gr.update(visible=not {"last_image", "keyframe"}.isdisjoint(takes)),
            self._last_column: gr.update(visible="last_image" in takes),
            self._mask_column: gr.update(visible="motion_mask" in takes),
            self._style_column: gr.update(visible="style_image" in takes),
            **{column: gr.update(visible="keyframe" in takes) for column in self._columns},
        }

    def fields(self) -> list[Any]:
        """Return the widgets that `placed` changes."""
        return [*self.widgets(), self._more]

    def placed(
        self, values: Values, given: Sequence[tuple[JsonObject, bytes]] | None, language: Language = "en"
    ) -> Updates:
        """Return all fields with the pictures of a job in them, PNG files each; `None`: as they are.

        The others become empty. That there are more keyframes than fields is said.
        """
        if given is None:
            return {widget: values[widget] for widget in self.widgets()} | {self._more: gr.skip()}
        keyframes = [(asked, file) for asked, file in given if asked.get("role") == "keyframe"]
        single = {asked.get("role"): file for asked, file in given}
        lost = max(0, len(keyframes) - len(self._keyframes))
        more = text("pictures.more", language, count=lost) if lost else ""
        updates: Updates = {field: _kept(field, single.get(role)) for role, field in self._single.items()}
        updates[self._more] = f"<p>{escape(more)}</p>"
        for number, (picture, frame) in enumerate(self._keyframes):
            asked, file = keyframes[number] if number < len(keyframes) else ({}, None)
            updates |= {picture: _kept(picture, file), frame: str(asked.get("frame", _FRAMES[number]))}
        return updates

    def given(self, values: Values, spec: EngineSpec) -> list[JsonObject]:
        """Return a request's `inputs`: the pictures that are there, and that `spec` takes."""
        return [message for message, _ in self._given(values, spec)]

    def files(self, values: Values, spec: EngineSpec) -> tuple[bytes, ...]:
        """Return those pictures' files, in the order of `given`; raises as `read_upload` does."""
        return tuple(read_upload(path) for _, path in self._given(values, spec))

    def _given(self, values: Values, spec: EngineSpec) -> list[tuple[JsonObject, Path]]:
        takes, found = spec.capabilities.inputs, list[tuple[JsonObject, Path]]()
        for picture, frame in self._keyframes if "keyframe" in takes else ():
            if values[picture]:
                found.append(({"role": "keyframe", "frame": values[frame] or ""}, Path(values[picture])))
        for role, field in self._single.items():
            if role in takes and values[field]:
                found.append(({"role": role}, Path(values[field])))
        return found


def _kept(field: Any, file: bytes | None) -> str | None:
    """Return the value of a field with that picture, or without one."""
    return None if file is None else save_bytes_to_cache(file, "picture.png", field.GRADIO_CACHE)
