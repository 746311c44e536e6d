"""What a clip will have of its picture, shown before it is made: its first frame, and what is cut or added.

Pure: numbers and paths go in, markup comes out, every text escaped. Where a picture is cut is `media.image`'s
business; the browser is told the same numbers, so that what is seen is what is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import cast
from urllib.parse import quote

from i2v.core.crop import Crop, kept_size
from i2v.core.schema import Fit, Language
from i2v.media.image import kept_part, lost_pixels
from i2v.web.texts import text

_DIMMED = "rgb(0 0 0 / 28%)"
_WORTH_A_WORD = 0.005  # of a side, where a part was chosen: its shape is never quite the clip's
_WORTH_BORDERS = 0.01  # of the picture: less is said, but no border is worth it


@dataclass(frozen=True)
class Framing:
    """A picture and the clip that would be made of it.

    Attributes:
        path: where the uploaded picture lies, in Gradio's own folder.
        size: (width, height) of the picture in pixels, upright.
        clip: (width, height) of the frames that the picture, or its part, is brought to.
        crop: the part that was asked for, `None` for all of it.
        is_moving: a camera moves over it, so that no frame shows all of it.
    """

    path: str
    size: tuple[int, int]
    clip: tuple[int, int]
    fit: Fit
    crop: Crop | None = None
    is_moving: bool = False

    @classmethod
    def of(cls, path: str, size: tuple[int, int], made: Mapping[str, object]) -> Framing:
        """Take the numbers of a `Generation`."""
        width, height = (cast("int", made[f"generated_{side}"]) for side in ("width", "height"))
        crop = made.get("crop")
        part = Crop(**cast("dict[str, float]", crop)) if isinstance(crop, Mapping) else None
        is_moving = cast("float", made["strength"]) < 1 or not made["num_inference_steps"]
        return cls(path, size, (width, height), cast("Fit", made["fit"]), part, is_moving)

    @property
    def part(self) -> tuple[int, int]:
        """(width, height) in pixels of what was asked for: the picture, or its crop."""
        return kept_size(self.size, self.crop)

    @property
    def cut(self) -> tuple[float, float, float, float]:
        """What is lost at the left, at the top, at the right and at the bottom: parts of the side."""
        width, height = self.size
        x, y = (0, 0) if self.crop is None else self.crop.box(self.size)[:2]
        left, top, right, bottom = kept_part(self.part, *self.clip, self.fit)
        return (
            (x + left) / width,
            (y + top) / height,
            (width - x - right) / width,
            (height - y - bottom) / height,
        )

    @property
    def lost(self) -> float:
        """The portion of what was asked for that is cut by the clip's shape."""
        width, height = self.part
        left, top, right, bottom = kept_part(self.part, *self.clip, self.fit)
        return 1 - (right - left) * (bottom - top) / (width * height)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost of what was asked for that would be said of the clip, too."""
        return not any(lost_pixels(self.part, kept_part(self.part, *self.clip, self.fit)))

    @property
    def is_padded(self) -> bool:
        return self.fit == "pad" and self.part[0] * self.clip[1] != self.part[1] * self.clip[0]


def line(framing: Framing, language: Language) -> str:
    """Return in a few words what becomes of the picture."""
    size = f"{framing.part[0]} x {framing.part[1]}"
    if framing.is_padded:
        return text("forecast.pad", language, size=size)
    if framing.is_whole and framing.is_moving:
        return text("forecast.moving", language, size=size)
    if framing.is_whole:
        return text("forecast.part" if framing.crop else "forecast.keep", language, size=size)
    name = "forecast.crop" if framing.fit == "crop" else "forecast.keep_cut"
    return text(name, language, size=size, percent=f"{100 * framing.lost:.2g}")


def on_picture(framing: Framing, can_pad: bool, language: Language) -> str:
    """Return what dims the parts of the shown picture that are cut, says so, and offers to keep them."""
    if framing.is_whole and framing.crop is None:
        return ""
    words = escape(_said(framing, language))
    button = escape(text("cut.pad", language))
    offer = (
        f' <button type="button" class="i2v-act" data-act="pad">{button}</button>'
        if can_pad and framing.crop is None and framing.lost > _WORTH_BORDERS
        else ""
    )
    return f'<style>{_mask(framing)}</style><p class="i2v-cut">{words}{offer}</p>'


def _said(framing: Framing, language: Language) -> str:
    names = ("left", "top", "right", "bottom")
    least = 0.0 if framing.crop is None else _WORTH_A_WORD
    lost = [f"{text(f'cut.{name}', language)} {100 * part:.2g} %"
            for name, part in zip(names, framing.cut, strict=True) if part > least]  # fmt: skip
    return text("cut.said", language, sides=("，" if language == "zh-CN" else ", ").join(lost))


def _mask(framing: Framing) -> str:
    """Return the rule that shows faintly what is cut."""
    left, top, right, bottom = (100 * part for part in framing.cut)
    faded = [
        f"linear-gradient(to {towards}, {_DIMMED} {first:.2f}%, #000 {first:.2f}%, #000 {100 - last:.2f}%,"
        f" {_DIMMED} {100 - last:.2f}%)"
        for towards, first, last in (("right", left, right), ("bottom", top, bottom))
        if first + last > 0
    ]
    return f"#i2v-picture img {{ mask-image: {', '.join(faded)}; mask-composite: intersect }}"


def first_frame(framing: Framing, language: Language) -> str:
    """Return the picture as the clip begins, in a frame of the clip's shape."""
    address, alt = f"gradio_api/file={quote(framing.path)}", escape(text("cut.first", language))
    if framing.crop is None:
        left, top, right, bottom = framing.cut
        place = f"{_place(left, right)} {_place(top, bottom)}"
        shape = f"{shape_of(framing.clip, framing.fit)}; object-position: {place}"
        return f'<div class="i2v-frame i2v-first"><img src="{address}" alt="{alt}" style="{shape}"></div>'
    aspect = framing.part[0] * framing.clip[1] / (framing.part[1] * framing.clip[0])  # beside the clip's
    inner = (min(1.0, aspect), min(1.0, 1 / aspect)) if framing.is_padded else (1.0, 1.0)
    part = part_of(address, alt, framing.cut, framing.clip, inner)
    return f'<div class="i2v-frame i2v-first">{part}</div>'


def part_of(
    address: str,
    alt: str,
    cut: tuple[float, float, float, float],
    clip: tuple[int, int],
    inner: tuple[float, float] = (1.0, 1.0),
) -> str:
    """Return the part of a picture that is left when (left, top, right, bottom) of it are `cut`.

    Args:
        inner: how much of the width and of the height of a clip of that size it fills, in the middle.
    """
    left, top, right, bottom = cut
    width, height = (
        side / (1 - lost) for side, lost in zip(inner, (left + right, top + bottom), strict=True)
    )
    x, y = (1 - inner[0]) / 2 - left * width, (1 - inner[1]) / 2 - top * height
    place = "; ".join(
        f"{name}: {100 * value:.3f}%"
        for name, value in (("left", x), ("top", y), ("width", width), ("height", height))
    )
    clipped = " ".join(f"{100 * part:.3f}%" for part in (top, right, bottom, left))
    return (
        f'<div class="i2v-part" style="{shape_of(clip, "crop")}">'
        f'<img src="{address}" alt="{alt}" style="{place}; clip-path: inset({clipped})"></div>'
    )


def shape_of(clip: tuple[int, int], fit: Fit) -> str:
    """Return the style of a picture that is shown as a clip of that size has it: as tall as there is room."""
    width, height = clip
    way = "contain" if fit == "pad" else "cover"
    return (
        f"aspect-ratio: {width} / {height}; width: min(100%, calc(var(--i2v-tall) * {width / height:.4f}));"
        f" object-fit: {way}"
    )


def _place(before: float, after: float) -> str:
    """Return where the picture lies in the frame, as CSS counts: the part of what is cut that is before."""
    return f"{100 * before / (before + after):.1f}%" if before + after else "50%"
