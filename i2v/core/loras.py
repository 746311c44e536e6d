"""LoRAs of a request: their names and strengths, as fields, JSON or one text.

The files themselves are `i2v.weights.added_files`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from i2v.core.bounds import Within
from i2v.core.fields import Text, json_list, refuse_unknown

MAX_LORAS = 8


@dataclass(frozen=True)
class Lora:
    """A LoRA by its name in the folders of LoRAs. `strength`: 1 as it was trained, below 0 the other way.

    `strength_2` is that in the second expert of a model that has two. `None`: the same in both, unless the
    file's name says which of them it is for ("high_noise", "low_noise").
    """

    name: Text
    strength: Annotated[float, Within(-4, 4)] = 1.0
    strength_2: Annotated[float, Within(-4, 4)] | None = None


LORA_PARTS = ("name", "strength", "strength_2")


_LORA_LIST = "a list of names, each with its strength: name:0.8"


def _read_loras(value: object) -> object:
    """Read "name:0.8" or "name:0.8:0.5" for a LoRA, and one text for all: a JSON list, or with commas."""
    if isinstance(value, str):
        value = json_list(value, _LORA_LIST) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, list | tuple):
        return value
    read = [_lora_of(each.strip()) if isinstance(each, str) else each for each in value if each != ""]
    for each in read:
        if isinstance(each, dict):
            refuse_unknown(each, LORA_PARTS, "loras", "name")
    return read


def _lora_of(text: str) -> dict[str, str]:
    parts = (part.strip() for part in text.split(":", 2))
    return dict(zip(LORA_PARTS, parts, strict=False))


def _each_once(loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
    if len({lora.name for lora in loras}) < len(loras):
        raise ValueError("each LoRA once")
    return loras


Loras = Annotated[tuple[Lora, ...], BeforeValidator(_read_loras), AfterValidator(_each_once)]
