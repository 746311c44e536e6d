"""What is said of each engine where one is chosen, as plain text: what it makes, its time, size and licence.

Pure: specs, models and notices go in, lines come out. The first line is the name; the page's style sets it
apart (`::first-line`), so that a card is an ordinary choice of a radio group, named by all that it says.
"""

from __future__ import annotations

from collections.abc import Mapping

from i2v.core.durations import duration
from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.schema import Language
from i2v.service.models import Model
from i2v.web.page.models_panels import size
from i2v.web.texts import licence_name, model_summary, model_title, text


def names(engines: Mapping[str, EngineSpec]) -> list[tuple[str, str]]:
    """Return the choices before anything is known of this machine or of the language."""
    known = [(_lines(spec.title, spec.summary), name) for name, spec in engines.items()]
    return [(text("engine.auto", "en"), "auto"), *known]


def cards(
    engines: Mapping[str, EngineSpec],
    models: Mapping[str, Model],
    times: Mapping[str, Notice],
    auto: str | None,
    language: Language,
) -> list[tuple[str, str]]:
    """Return the choices as labels of several lines, with the engines' names.

    Args:
        models: those that have files, by name.
        times: how long a clip takes (`PlanSummary.notice`), by name, where it is known what it would be.
        auto: the name of the engine that runs where none is named; `None` where nobody knows.
    """
    found = [(_card(spec, models.get(name), times.get(name), language), name)
             for name, spec in engines.items()]  # fmt: skip
    label = text("engine.auto", language)
    if auto is not None and auto in engines:
        label = text("engine.auto.now", language, title=model_title(engines[auto].title, language))
        facts = (text("engine.auto.why", language), _time(times.get(auto), language))
        label = _lines(label, " · ".join(facts))
    return [(label, "auto"), *found]


def _card(spec: EngineSpec, model: Model | None, time: Notice | None, language: Language) -> str:
    licences = dict.fromkeys(licence_name(part.licence, language) for part in spec.published)
    licence = text("engine.licence", language, licence=", ".join(licences)) if licences else ""
    facts = (_time(time, language), _state(model, language), licence)
    return _lines(
        model_title(spec.title, language),
        model_summary(spec.summary, language),
        " · ".join(fact for fact in facts if fact),
    )


def _time(notice: Notice | None, language: Language) -> str:
    params = {} if notice is None else notice.params
    seconds = {
        name: duration(value, language) for name, value in params.items() if isinstance(value, int | float)
    }
    if "seconds" in seconds:
        return text("engine.time", language, time=seconds["seconds"])
    if "low" in seconds:
        return text("engine.time.range", language, **seconds)
    return text("engine.time.unknown", language)


def _state(model: Model | None, language: Language) -> str:
    if model is None:
        return text("engine.needs_nothing", language)
    if model.folder.missing is None:
        key = "engine.included" if model.spec.embedded else "engine.installed"
        return text(key, language, size=size(model.folder.size))
    bytes_to_fetch = model.spec.published_bytes if model.plan is None else model.plan.size
    return text("engine.not_installed", language, size=size(bytes_to_fetch))


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
