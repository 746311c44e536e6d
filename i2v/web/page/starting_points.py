"""What there is to begin with: example pictures with their prompts, and motions to click, as data and HTML.

Pure: it knows neither widgets nor the service. The pictures are those of the checkout's `examples`; where
i2v was installed without them there are none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Language
from i2v.core.settings_sources import ROOT
from i2v.web.texts import text

_FOLDER = ROOT / "examples"


@dataclass(frozen=True)
class Motion:
    """A camera move to click. `prompt`: what it writes, in each language."""

    sign: str
    prompt: Mapping[Language, str]


MOTIONS: Mapping[str, Motion] = {
    "left": Motion("←", {"en": "the camera pans left", "zh-CN": "镜头向左平移"}),
    "right": Motion("→", {"en": "the camera pans right", "zh-CN": "镜头向右平移"}),
    "up": Motion("↑", {"en": "the camera tilts up", "zh-CN": "镜头向上移动"}),
    "down": Motion("↓", {"en": "the camera tilts down", "zh-CN": "镜头向下移动"}),
    "in": Motion("⊕", {"en": "the camera zooms in", "zh-CN": "镜头推近"}),
    "out": Motion("⊖", {"en": "the camera zooms out", "zh-CN": "镜头拉远"}),
    "clockwise": Motion("↻", {"en": "the picture rotates clockwise", "zh-CN": "画面顺时针旋转"}),
    "counterclockwise": Motion(
        "↺", {"en": "the picture rotates counterclockwise", "zh-CN": "画面逆时针旋转"}
    ),
    "still": Motion("▪", {"en": "the camera stays still", "zh-CN": "镜头静止"}),
}  # fmt: skip
# How fast the camera moves, as camera paths read it (`engines.camera.vocabulary`), behind a motion.
PACES: Mapping[str, Motion] = {
    "slow": Motion("½×", {"en": ", slowly", "zh-CN": "，缓慢"}),
    "fast": Motion("2×", {"en": ", quickly", "zh-CN": "，快速"}),
}
# Example pictures, each with one of the motions.
EXAMPLES: Mapping[str, str] = {"cat": "clockwise", "rocket": "in", "coffee": "left"}


def motions_of(spec: EngineSpec) -> tuple[str, ...]:
    """Return the names of those that can be asked of an engine in words."""
    can = spec.capabilities
    if can.prompt == "none":
        return ()
    return tuple(
        name for name, each in MOTIONS.items() if not spec.motions or each.prompt["en"] in spec.motions
    )


def chips(spec: EngineSpec, language: Language) -> str:
    """Return a button for each motion of the engine and each pace (`data-act`: motion; `data-id`: a name)."""
    names = motions_of(spec)
    if not names:
        return ""
    buttons = "".join(_chip(name, language) for name in (*names, *PACES))
    label = escape(text("motions.label", language))
    return f'<div class="i2v-chips" role="group" aria-label="{label}">{buttons}</div>'


def _chip(name: str, language: Language) -> str:
    motion, label = {**MOTIONS, **PACES}[name], text(f"motion.{name}", language)
    return (
        f'<button type="button" class="i2v-act" data-act="motion" data-id="{name}"'
        f' title="{escape(motion.prompt[language].lstrip(", ，"))}">{motion.sign} {escape(label)}</button>'
    )


def with_motion(prompt: str, name: str, spec: EngineSpec, language: Language) -> str:
    """Return the prompt with that motion in it.

    It takes the place of a motion that was clicked before; it comes after other words, where the engine
    makes more of a prompt than one motion.
    """
    words = MOTIONS[name].prompt[language]
    phrases = [phrase for motion in MOTIONS.values() for phrase in motion.prompt.values()]
    for phrase in sorted(phrases, key=len, reverse=True):
        if phrase in prompt:
            return prompt.replace(phrase, words)
    rest = prompt.strip().rstrip(".,。，")
    if not rest or spec.motions:
        return words
    return f"{rest}{'，' if language == 'zh-CN' else ', '}{words}"


def with_pace(prompt: str, name: str, language: Language) -> str:
    """Return the prompt with that pace at its end in place of another one; without, where it had it."""
    rest = prompt.rstrip(" .。")
    before = [words for pace in PACES.values() for words in pace.prompt.values() if rest.endswith(words)]
    for words in before:
        rest = rest.removesuffix(words)
    had_it = any(words in PACES[name].prompt.values() for words in before)
    return rest if had_it or not rest else rest + PACES[name].prompt[language]


def prompt_menu(language: Language) -> dict[str, str]:
    """Return the menu of prompts that were used before, as `value`; `prompts.js` fills it in the browser."""
    keys = ("prompts.empty", "prompts.keep", "prompts.unkeep", "prompts.forget")
    words = " ".join(f'data-{key.removeprefix("prompts.")}="{escape(text(key, language))}"' for key in keys)
    label = escape(text("prompts.open", language))
    button = (
        '<button type="button" class="i2v-act" id="i2v-prompts-open" aria-expanded="false"'
        f' aria-controls="i2v-prompts-list">{label}</button>'
    )
    return {"value": f'{button}<div class="i2v-prompts" id="i2v-prompts-list" hidden {words}></div>'}


def examples(language: Language) -> str:
    """Return the example pictures as buttons (`data-act`: example; `data-id`: its name); "" without any."""
    buttons = "".join(_example(name, language) for name in EXAMPLES if example(name) is not None)
    if not buttons:
        return ""
    line = escape(text("examples.label", language))
    return f'<p class="i2v-subdued">{line}</p><div class="i2v-examples">{buttons}</div>'


def _example(name: str, language: Language) -> str:
    data = base64.b64encode(example(name) or b"").decode()
    words = escape(prompt_of(name, language))
    return (
        f'<button type="button" class="i2v-example" data-act="example" data-id="{name}">'
        f'<img src="data:image/jpeg;base64,{data}" alt=""><span>{words}</span></button>'
    )


def prompt_of(name: str, language: Language) -> str:
    """Return the prompt of an example picture."""
    return MOTIONS[EXAMPLES[name]].prompt[language]


@cache
def example(name: str) -> bytes | None:
    """Return the file of an example picture, `None` for a name that none has, or where they are not here."""
    path: Path = _FOLDER / f"{name}.jpg"
    return path.read_bytes() if name in EXAMPLES and path.is_file() else None
