"""What the page says before a clip is made, as HTML: which engine would run and why, and the clip.

Pure: specs, notices and plans go in, markup comes out, every text escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import cast

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.schema import Language
from i2v.service.service import Plan
from i2v.web.page.models_panels import size as shown_size
from i2v.web.texts import model_title, sentences, text, translate


def about(
    spec: EngineSpec, best: EngineSpec | None, is_missing: bool, reason: Notice | None, language: Language
) -> str:
    """Return what there is to know of the engine that would run; "" where nothing is out of the ordinary.

    Args:
        best: the engine that would run where nothing stood against it.
        is_missing: not all of its files are here.
        reason: why it is this one; `None` where it was named.
    """
    title = model_title(spec.title, language)
    said = []
    if spec.capabilities.prompt == "none":
        said.append(text("engine.no_prompt", language, title=title))
    if is_missing:
        missing = f'<p class="i2v-error">{escape(text("engine.missing", language, title=title))}</p>'
        return missing + (_subdued(sentences(said, language)) if said else "")
    if not spec.files:
        said.append(text("engine.no_weights", language, title=title))
    if spec.embedded:
        said.append(text("demo.about", language))
    if spec.embedded and best is not None and best.published:
        size = shown_size(best.published_bytes)
        better = {"title": model_title(best.title, language), "size": size}
        said.append(text("demo.better", language, **better))
    if reason is not None:
        said.append(translate(reason.to_dict(), language))
    return _subdued(sentences(said, language)) if said else ""


def forecast(plan: Plan, size: tuple[int, int] | None, language: Language) -> str:
    """Return what the clip will be and what becomes of the picture for it; then how long it takes."""
    made = plan.options
    clip = {name: made[name] for name in ("width", "height", "num_frames")}
    parts = [text("forecast.clip", language, **clip, seconds=f"{_playing_seconds(made):.1f}")]
    if size is not None:
        parts.append(_framing(made, size, language))
    told = (translate(notice.to_dict(), language) for notice in (*plan.memory, plan.notice))
    return _subdued(" · ".join(parts)) + _subdued(sentences(told, language))


def _framing(made: Mapping[str, object], size: tuple[int, int], language: Language) -> str:
    """Return what becomes of a picture of that size; where it is cut only a little, how much."""
    width, height = (cast("int", made[name]) for name in ("width", "height"))
    scale = max(width / size[0], height / size[1])
    percent = round(100 - 100 * width * height / (scale**2 * size[0] * size[1]))
    name = "forecast.keep_cut" if made["fit"] == "keep" and percent else f"forecast.{made['fit']}"
    return text(name, language, size=f"{size[0]} x {size[1]}", percent=percent)


def _playing_seconds(made: Mapping[str, object]) -> float:
    num_frames, fps = (cast("float", made[name]) for name in ("num_frames", "fps"))
    return num_frames / fps


def _subdued(line: str) -> str:
    return f'<p class="i2v-subdued">{escape(line)}</p>'
