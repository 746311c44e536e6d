"""Which engines there are, what each takes, and its options, as lines for `--help`. Knows none by name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from i2v.core.engine_spec import ANY_STEPS, OPTIONAL_FIELDS
from i2v.core.inputs import InputRole
from i2v.core.schema import GenerationRequest

if TYPE_CHECKING:
    from i2v.core.engine_spec import EngineSpec

WIDTH = 100
_REPEATED = {"loras": "--lora", "story": "--scene", "options": "--option", "inputs": "--keyframe"}


def describe_engines(engines: Mapping[str, EngineSpec]) -> str:
    """Return a line for each engine, then their options; what several engines have alike stands once."""
    width = max(map(len, ("auto", *engines))) + 2
    rows = [("auto", "the best model that is installed and can run here"), *map(_row, engines.values())]
    blocks = [["engines (--engine):", *_table(rows, width)]]
    owners: dict[tuple[str, str], list[str]] = {}
    for spec in engines.values():
        for option in _options(spec):
            owners.setdefault(option, []).append(spec.name)
    for names in dict.fromkeys(map(tuple, owners.values())):
        alike = [option for option, of in owners.items() if tuple(of) == names]
        width = max(len(name) for name, _ in alike) + 2
        heading = textwrap.wrap(f"options of {', '.join(names)} (--option NAME=VALUE):", WIDTH)
        blocks.append([*heading, *_table(alike, width)])
    return "\n\n".join("\n".join(block) for block in blocks)


def _row(spec: EngineSpec) -> tuple[str, str]:
    can = spec.capabilities
    said = [
        f"{can.num_frames} frames".removeprefix("a whole number from "),
        f"{can.fps[0]} to {can.fps[1]} fps",
    ]
    said.append(f"sides up to {can.largest_side} pixels")
    if not spec.files:
        said.append("needs no download")
    unused = [name for name in OPTIONAL_FIELDS if name in can.unused]
    if can.step_counts != ANY_STEPS and can.num_inference_steps:
        said.append(f"{can.step_counts} steps".removeprefix("a whole number from "))
    if can.prompt == "none":
        unused.insert(0, "prompt")
    if others := [role for role in can.inputs if role != "image"]:
        said.append("takes " + ", ".join(_picture_flag(role) for role in others))
    if can.loras:
        said.append("takes --lora" + (" and --checkpoint" if can.checkpoint else ""))
    if can.story:
        said.append("takes --scene")
    if unused:
        said.append("without " + ", ".join(map(flag, unused)))
    return spec.name, f"{spec.title}: {'; '.join(said)}"


def _picture_flag(role: str) -> str:
    return f"{flag(role)} {'FRAME=FILE' if role == 'keyframe' else 'FILE'}"


def flag(field: str) -> str:
    """Return the flag of a request's field; one that is given once for each of several has another name."""
    return _REPEATED.get(field) or f"--{field.replace('_', '-')}"


def flag_of(field: str, value: str) -> str | None:
    """Return the flag that an error is about, `None` where it is about no flag.

    field, value: as errors name them: "story.seconds" is --scene's, "narration.voice" is
    --narration-voice's, and "inputs" that of the picture whose role is the value.
    """
    name, _, part = field.partition(".")
    if name not in GenerationRequest.model_fields:
        return None
    if name in ("sound", "narration") and part not in ("", "text"):
        return flag(f"{name}_{part}")
    return flag(value) if field == "inputs" and value in get_args(InputRole) else flag(name)


def _options(spec: EngineSpec) -> Iterator[tuple[str, str]]:
    from i2v.core.option_fields import option_fields

    for field in option_fields(spec.options_model):
        default = "" if field.default is None else f" (default: {str(field.default).lower()})"
        yield field.name, f"{field.allowed}{default}. {field.description}".strip()


def _table(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    indent = " " * (2 + width)
    for name, words in rows:
        start = f"  {name:<{width}}"
        lines = textwrap.TextWrapper(WIDTH, start, indent, break_on_hyphens=False)  # flags stay whole
        yield from lines.wrap(words)
