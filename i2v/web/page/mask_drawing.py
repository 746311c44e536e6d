"""A brush for the motion mask: a button, and a dialog in which the mask is painted on the picture. As HTML.

Pure. `mask.js` paints, and hands the mask to the form's field as a file that is uploaded like any other.
"""

from __future__ import annotations

from html import escape

from i2v.core.schema import Language
from i2v.web.texts import text

TOOLS = ("paint", "erase")
ACTS = ("invert", "clear", "close", "use")


def mask_drawing(language: Language) -> dict[str, str]:
    """Return the button and its dialog as `value`; `data-mask` says what each part does."""

    def word(name: str) -> str:
        return escape(text(f"mask.{name}", language))

    tools = "".join(
        f'<label><input type="radio" name="i2v-mask-tool" value="{tool}"{state}> {word(tool)}</label>'
        for tool, state in zip(TOOLS, (" checked", ""), strict=True)
    )
    acts = "".join(
        f'<button type="button" class="i2v-act" data-mask="{act}">{word(act)}</button>' for act in ACTS
    )
    opener = f'<button type="button" class="i2v-act" data-mask="open">{word("open")}</button>'
    canvas = f'<canvas tabindex="0" role="application" aria-label="{word("canvas")}"></canvas>'
    size = '<input type="range" data-mask="size" min="2" max="40" value="12">'
    return {
        "value": f'<div class="i2v-mask">{opener}<p role="status" data-none="{word("no_picture")}"></p>'
        f'<dialog aria-labelledby="i2v-mask-title"><h3 id="i2v-mask-title">{word("title")}</h3>'
        f"<p>{word('help')}</p>{canvas}"
        f'<div class="i2v-mask-tools">{tools}<label>{word("size")} {size}</label></div>'
        f'<div class="i2v-acts">{acts}</div></dialog></div>'
    }
