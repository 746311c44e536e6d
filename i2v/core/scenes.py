"""Scenes of a story, as fields, JSON or a text with a scene a line; `story` cuts them into segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from i2v.core.bounds import Within
from i2v.core.fields import Text, json_list, refuse_unknown
from i2v.core.story import MAX_SECONDS

_SCENE_LIST = "scenes, each with its seconds and its prompt, one a line: 4: the camera pans left"


@dataclass(frozen=True)
class Scene:
    """A part of a story. An empty `prompt` is that of the request."""

    seconds: Annotated[float, Within(0.1, MAX_SECONDS)]
    prompt: Text = ""


def _read_story(value: object) -> object:
    """Read "4: the camera pans left" for a scene, and one text for all: a JSON list, or a scene a line."""
    if isinstance(value, str):
        value = json_list(value, _SCENE_LIST) if value.lstrip().startswith("[") else value.splitlines()
    if not isinstance(value, list | tuple):
        return value
    lines = [each for each in value if not (isinstance(each, str) and not each.strip())]
    read = [_scene_of(each) if isinstance(each, str) else each for each in lines]
    for each in read:
        if isinstance(each, dict):
            refuse_unknown(each, ("seconds", "prompt"), "story", "prompt")
    return read


def _scene_of(text: str) -> dict[str, str]:
    seconds, _, prompt = text.replace("\uff1a", ":", 1).partition(":")
    return {"seconds": seconds.strip(), "prompt": prompt.strip()}


def _not_too_long(story: tuple[Scene, ...]) -> tuple[Scene, ...]:
    if sum(scene.seconds for scene in story) > MAX_SECONDS:
        raise ValueError(f"at most {MAX_SECONDS} seconds in all")
    return story


Story = Annotated[tuple[Scene, ...], BeforeValidator(_read_story), AfterValidator(_not_too_long)]
