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

from i2v.core.schema import Fit, Language
from i2v.media.image import kept_part, lost_pixels
from i2v.web.texts import text

_DIMMED = "rgb(0 0 0 / 28%)"
_WORTH_BORDERS = 0.01  # of the picture: less is said, but no border is worth it


@dataclass(frozen=True)
class Framing:
    """A picture and the clip that would be made of it.

    Attributes:
        path: where the uploaded picture lies, in Gradio's own folder.
        size: (width, height) of the picture in pixels, upright.
        clip: (width, height) of the frames that the picture is brought to.
    """

    path: str
    size: tuple[int, int]
    clip: tuple[int, int]
    fit: Fit

    @classmethod
    def of(cls, path: str, size: tuple[int, int], made: Mapping[str, object]) -> Framing:
        """Take the numbers of a `Generation`."""
        width, height = (cast("int", made[f"generated_{side}"]) for side in ("width", "height"))
        return cls(path, size, (width, height), cast("Fit", made["fit"]))

    @property
    def cut(self) -> tuple[float, float, float, float]:
        """What is lost at the left, at the top, at the right and at the bottom: parts of the side."""
        width, height = self.size
        left, top, right, bottom = kept_part(self.size, *self.clip, self.fit)
        return left / width, top / height, (width - right) / width, (height - bottom) / height

    @property
    def lost(self) -> float:
        """The part of the picture that is cut."""
        left, top, right, bottom = self.cut
        return 1 - (1 - left - right) * (1 - top - bottom)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost that would be said of the clip, too."""
        return not any(lost_pixels(self.size, kept_part(self.size, *self.clip, self.fit)))

    @property
    def is_padded(self) -> bool:
        return self.fit == "pad" and self.size[0] * self.clip[1] != self.size[1] * self.clip[0]


def line(framing: Framing, language: Language) -> str:
    """Return in a few words what becomes of the picture."""
    size = f"{framing.size[0]} x {framing.size[1]}"
    if framing.is_padded:
        return text("forecast.pad", language, size=size)
    if framing.is_whole:
        return text("forecast.keep", language, size=size)
    name = "forecast.crop" if framing.fit == "crop" else "forecast.keep_cut"
    return text(name, language, size=size, percent=f"{100 * framing.lost:.2g}")


def on_picture(framing: Framing, can_pad: bool, language: Language) -> str:
    """Return what dims the parts of the shown picture that are cut, says so, and offers to keep them."""
    if framing.is_whole:
        return ""
    words = escape(_said(framing, language))
    button = escape(text("cut.pad", language))
    offer = (
        f' <button type="button" class="i2v-act" data-act="pad">{button}</button>'
        if can_pad and framing.lost > _WORTH_BORDERS
        else ""
    )
    return f'<style>{_mask(framing)}</style><p class="i2v-cut">{words}{offer}</p>'


def _said(framing: Framing, language: Language) -> str:
    names = ("left", "top", "right", "bottom")
    lost = [f"{text(f'cut.{name}', language)} {100 * part:.2g} %"
            for name, part in zip(names, framing.cut, strict=True) if part]  # fmt: skip
    return text("cut.said", language, sides=("，" if language == "zh-CN" else ", ").join(lost))


def _mask(framing: Framing) -> str:
    """Return the rule that shows faintly what is cut: at two sides at the most."""
    left, top, right, bottom = (100 * part for part in framing.cut)
    across = left + right > 0
    first, last = (left, right) if across else (top, bottom)
    stops = f"{_DIMMED} {first:.2f}%, #000 {first:.2f}%, #000 {100 - last:.2f}%, {_DIMMED} {100 - last:.2f}%"
    return (
        f"#i2v-picture img {{ mask-image: linear-gradient(to {'right' if across else 'bottom'}, {stops}) }}"
    )


def first_frame(framing: Framing, language: Language) -> str:
    """Return the picture as the clip begins, in a frame of the clip's shape."""
    left, top, right, bottom = framing.cut
    place = f"{_place(left, right)} {_place(top, bottom)}"
    shape = shape_of(framing.clip, framing.fit)
    alt = escape(text("cut.first", language))
    return (
        f'<div class="i2v-frame i2v-first"><img src="gradio_api/file={quote(framing.path)}" alt="{alt}"'
        f' style="{shape}; object-position: {place}"></div>'
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
