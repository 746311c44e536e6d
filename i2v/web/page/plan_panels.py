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
from i2v.service.models import Model
from i2v.service.service import PlanSummary
from i2v.web.page import models_panels
from i2v.web.page.framing import Framing
from i2v.web.page.framing import line as framing_line
from i2v.web.page.models_panels import size as shown_size
from i2v.web.texts import model_title, sentences, text, translate


def about(spec: EngineSpec, best: EngineSpec | None, reason: Notice | None, language: Language) -> str:
    """Return what there is to know of the engine that would run; "" where nothing is out of the ordinary.

    Args:
        best: the engine that would run where nothing stood against it.
        reason: why it is this one; `None` where it was named.
    """
    title = model_title(spec.title, language)
    said, button = [], ""
    if spec.capabilities.prompt == "none":
        said.append(text("engine.no_prompt", language, title=title))
    if spec.embedded and best is not None and best.published:
        size = shown_size(best.published_bytes)
        better = {"title": model_title(best.title, language), "size": size}
        said.append(text("demo.better", language, **better))
        if reason is not None and reason.code == "engine.auto_no_weights":
            label = escape(text("models.get", language, **better))
            button = f'<button type="button" class="i2v-act" data-act="models">{label}</button>'
    if reason is not None:
        said.append(translate(reason.to_dict(), language))
    return _subdued(sentences(said, language)) + button if said else ""


def missing(model: Model, language: Language) -> str:
    """Return that a model is not here, what a download would be, and the buttons for it.

    It is the chosen engine, or what a style picture needs.
    """
    title = model_title(model.spec.title, language)
    key = "engine.missing" if isinstance(model.spec, EngineSpec) else "pictures.style.missing"
    line = escape(text(key, language, title=title))
    facts, buttons = models_panels.to_fetch(model, language), "".join(models_panels.buttons(model, language))
    prompt = ""
    if isinstance(model.spec, EngineSpec) and model.spec.capabilities.prompt == "none":
        prompt = _subdued(text("engine.no_prompt", language, title=title))
    return (
        f'<div class="i2v-engine"><p class="i2v-error">{line}</p>{facts}'
        f'<div class="i2v-acts">{buttons}</div></div>{prompt}'
    )


def forecast(plan: PlanSummary, framing: Framing | None, language: Language) -> str:
    """Return what the clip will be and what becomes of the picture for it; then how long it takes."""
    made = plan.options
    clip = {"width": made["width"], "height": made["height"], "num_frames": _frames(made)}
    parts = [text("forecast.clip", language, **clip, seconds=f"{_playing_seconds(made):.1f}")]
    if framing is not None:
        parts.append(framing_line(framing, language))
    lines = (translate(notice.to_dict(), language) for notice in (*plan.memory, plan.notice))
    return _subdued(" · ".join(parts)) + _subdued(sentences(lines, language))


def _playing_seconds(made: Mapping[str, object]) -> float:
    return _frames(made) / cast("int", made["fps"])


def _frames(made: Mapping[str, object]) -> int:
    """Return how many frames the clip has: all of a story's."""
    return cast("int", made["made_frames"] or made["num_frames"])


def _subdued(line: str) -> str:
    return f'<p class="i2v-subdued">{escape(line)}</p>'
