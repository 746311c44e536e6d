"""Styles by name: what each adds to a prompt and a negative prompt, and the LoRA that goes with it.

The words are English, since that is what every model that reads prompts was trained on. Which engine takes a
style is `EngineSpec.takes_style`; whether a LoRA is there is looked up where clips are planned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator

StyleName = Literal["anime", "oil", "watercolor", "ink", "sketch", "cyberpunk", "cinematic", "clay"]

LORA_STRENGTH = 0.8  # what LoRAs of styles are mostly used with: the picture is to stay itself


@dataclass(frozen=True)
class Style:
    """A style. `chinese`: its name there, which a request may give as well."""

    chinese: str
    prompt: str
    negative_prompt: str = ""


_PHOTO = "photograph, photorealistic"

STYLES: dict[StyleName, Style] = {
    "anime": Style("动漫", "anime style, cel shading, clean line art, vivid colors", _PHOTO),
    "oil": Style("油画", "oil painting, visible brush strokes, rich texture on canvas", _PHOTO),
    "watercolor": Style("水彩", "watercolor painting, soft washes, paper texture", _PHOTO),
    "ink": Style(
        "水墨", "Chinese ink wash painting, flowing brush strokes, rice paper", f"{_PHOTO}, vivid colors"
    ),
    "sketch": Style("素描", "pencil sketch, hatching, graphite on paper", f"{_PHOTO}, color"),
    "cyberpunk": Style(
        "赛博朋克", "cyberpunk, neon lights, rain-wet reflections, night city", "daylight, rural"
    ),
    "cinematic": Style(
        "电影感", "cinematic lighting, film grain, shallow depth of field", "flat lighting, cartoon"
    ),
    "clay": Style("黏土", "claymation, handmade clay figures, soft studio light", _PHOTO),
}
_NAMES = {style.chinese: name for name, style in STYLES.items()}


def _named(value: object) -> object:
    """Return the name of a style for a Chinese one, and nothing for an empty text, as forms have."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return _NAMES.get(word, word) or None


StyleField = Annotated[StyleName | None, BeforeValidator(_named)]


def lora_of(name: StyleName) -> str:
    """Return the name of the LoRA that goes with the style, in the folders of LoRAs."""
    return f"style-{name}"


def joined(words: str, more: str) -> str:
    """Return a prompt with `more` behind it."""
    words = words.strip()
    return ", ".join(filter(None, (words.rstrip(".,，。 "), more))) if more else words
