"""Which part of the picture is used: a shape, and a box of it that is moved and resized over the picture.

Owns these widgets and how their values become the `crop` of a request. The box is drawn and changed by
`crop.js`, which writes into `place` what was done; the arithmetic of shapes is `core.crop`'s.
"""

from __future__ import annotations

from html import escape

import gradio as gr

from i2v.core.crop import Crop, settled, shaped
from i2v.core.schema import Language
from i2v.web.page.tabs.widgets import Labels, Radio, Updates, Values
from i2v.web.texts import text

SHAPES = ("16:9", "9:16", "1:1", "4:5")
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")  # in the order of `crop.js`
WHOLE = Crop(0, 0, 1, 1)


class Cropping:
    """The widgets, made where this is called within a `gr.Blocks`.

    Attributes:
        shape: one of `SHAPES`; "picture": all of it; "own": what `place` says, whatever its shape.
        place: the box as `Crop` writes it. Of a shape, its middle and its size count; empty: the largest box.
    """

    def __init__(self, labels: Labels) -> None:
        self.shape = labels.of(
            Radio(_shapes("en"), value="picture", container=False, elem_id="i2v-shape"),
            _shapes,
            label="shape.label",
        )
        self.place = labels.of(gr.Textbox("", visible="hidden", elem_id="i2v-place"), label="crop.place")

    def widgets(self) -> list[gr.components.Component]:
        return [self.shape, self.place]

    def field(self, values: Values) -> str | None:
        """Return the `crop` of a request for any picture: a shape, or the box of its own."""
        shape = str(values[self.shape])
        if shape in SHAPES:
            return shape
        return values[self.place] or None if shape == "own" else None

    def crop(self, values: Values, size: tuple[int, int]) -> Crop | None:
        """Return the part that is chosen of a picture of that `size`; `None`: all of it."""
        shape, placed = values[self.shape], _read(values[self.place])
        if shape not in SHAPES:
            return settled(placed, size) if shape == "own" else None
        if placed is None:
            return shaped(shape, size)
        centre = ((placed.left + placed.right) / 2, (placed.top + placed.bottom) / 2)
        return shaped(shape, size, centre, placed)

    def box(self, values: Values, crop: Crop | None, language: Language) -> str:
        """Return what `crop.js` draws the box from, around the part `crop`; "" where none can be chosen."""
        shape = values[self.shape]
        if shape not in (*SHAPES, "own"):
            return ""
        label = escape(text("crop.box", language))
        corners = "|".join(text(f"crop.{corner}", language) for corner in CORNERS)
        keeps = "false" if shape == "own" else "true"
        return (
            f'<span hidden class="i2v-crop" data-crop="{crop or WHOLE}" data-label="{label}"'
            f' data-corners="{escape(corners)}" data-keeps="{keeps}"></span>'
        )

    def filled(self, crop: object) -> Updates:
        """Return the widgets as the `crop` of a request has them."""
        try:
            found = Crop.read(crop)
        except ValueError:
            found = None
        if isinstance(found, Crop):
            return {self.shape: "own", self.place: str(found)}
        return {self.shape: found if found in SHAPES else "picture", self.place: ""}


def _read(place: object) -> Crop | None:
    try:
        found = Crop.read(place) if place else None
    except ValueError:  # a browser may send anything
        return None
    return found if isinstance(found, Crop) else None


def _shapes(language: Language) -> list[tuple[str, str]]:
    named = [(shape, shape) for shape in SHAPES]
    return [(text("shape.picture", language), "picture"), *named, (text("shape.own", language), "own")]
