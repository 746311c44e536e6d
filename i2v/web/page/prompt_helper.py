"""A sentence put together from its parts: what is seen, what moves, the camera, the pace. As HTML.

Pure. `helper.js` writes the sentence into the prompt, in the browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Language
from i2v.web.page.starting_points import MOTIONS, PACES, Motion
from i2v.web.texts import text

_TYPED = ("subject", "motion")  # parts that are typed; the others are chosen
_COMMA = {"en": ", ", "zh-CN": "，"}


def is_helped(spec: EngineSpec) -> bool:
    """Tell whether an engine makes something of a whole sentence: more than one of a few motions."""
    return spec.capabilities.prompt != "none" and not spec.motions


def prompt_helper(language: Language) -> dict[str, str]:
    """Return the folded fields as `value`; each has its part of the sentence in `data-part`."""
    typed = "".join(_field(part, _typed(part, language), language) for part in _TYPED)
    chosen = _field("camera", _select("camera", MOTIONS, language), language)
    chosen += _field("pace", _select("pace", PACES, language), language)
    use, title = escape(text("helper.use", language)), escape(text("helper.open", language))
    return {
        "value": f'<details class="i2v-helper" data-comma="{_COMMA[language]}"><summary>{title}</summary>'
        f'<div class="i2v-helper-parts">{typed}{chosen}</div>'
        f'<p class="i2v-helper-line"><output aria-live="polite"></output>'
        f'<button type="button" class="i2v-act" data-helper="use" disabled>{use}</button></p></details>'
    }


def _field(part: str, control: str, language: Language) -> str:
    return f"<label><span>{escape(text(f'helper.{part}', language))}</span>{control}</label>"


def _typed(part: str, language: Language) -> str:
    example = escape(text(f"helper.{part}.example", language))
    return f'<input type="text" data-part="{part}" maxlength="300" placeholder="{example}">'


def _select(part: str, choices: Mapping[str, Motion], language: Language) -> str:
    none = escape(text("helper.none", language))
    values = (escape(each.prompt[language]) for each in choices.values())
    options = "".join(f'<option value="{value}">{value.lstrip(", ，")}</option>' for value in values)
    return f'<select data-part="{part}"><option value="">{none}</option>{options}</select>'
