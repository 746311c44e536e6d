"""The devices that jobs run on as HTML, where there are several: what each is doing.

Pure: their states go in, markup comes out, every text escaped. With one device there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from i2v.core.schema import Language
from i2v.web.texts import text, translate
from i2v.workers.devices import DeviceState, Fetch

GIB = 2**30
GB = 10**9  # as downloads are counted


def idle(states: Sequence[DeviceState], language: Language) -> str:
    """Return those that run no job, and why; a job that runs says where (`names`)."""
    if len(states) < 2:
        return ""
    rows = [
        _row(_name(state, states, language), _activity(state, language))
        for state in states
        if state.job_id is None
    ]
    return f'<ul class="i2v-subdued i2v-devices">{"".join(rows)}</ul>' if rows else ""


def names(states: Sequence[DeviceState], language: Language) -> Mapping[str, str]:
    """Return where each job runs, by its id, as plain text."""
    if len(states) < 2:
        return {}
    return {state.job_id: _name(state, states, language) for state in states if state.job_id is not None}


def facts(states: Sequence[DeviceState], titles: Mapping[str, str], language: Language) -> str:
    """Return all of them, each with its memory and its job.

    titles: of the jobs that run, by their ids.
    """
    rows = []
    for state in states:
        name = _name(state, states, language)
        if state.info is not None and state.info.type == "cuda":
            gib = f"{state.info.total_memory / GIB:.1f}"
            name += f" · {text('system.device.value', language, name=state.info.name, gib=gib)}"
        doing = titles.get(state.job_id or "") or _activity(state, language)
        if state.models:
            doing += f" · {text('device.models', language, models=', '.join(state.models))}"
        if state.fetch is not None:
            doing += f" · {_fetch(state.fetch, language)}"
        rows.append(_row(name, doing))
    return f'<ul class="i2v-devices">{"".join(rows)}</ul>'


def _fetch(fetch: Fetch, language: Language) -> str:
    if not fetch.total:
        return text("device.fetch_begins", language, engine=fetch.engine)
    done, total = (f"{size / GB:.2f}" for size in (fetch.done, fetch.total))
    return text("device.fetch", language, engine=fetch.engine, done=done, total=total)


def _name(state: DeviceState, states: Sequence[DeviceState], language: Language) -> str:
    name = state.id.upper() if state.id == "cpu" else state.id or text("device.unknown", language)
    if sum(other.id == state.id for other in states) == 1:
        return name
    return text("device.worker", language, device=name, number=state.number)


def _activity(state: DeviceState, language: Language) -> str:
    words = text(f"device.{state.activity}", language)
    if state.problem is None or state.activity in ("starting", "leaving"):
        return words
    problem = translate(state.problem.to_dict(), language)
    return text("device.problem", language, state=words, problem=problem)


def _row(device: str, doing: str) -> str:
    return f"<li>{escape(f'{device} · {doing}')}</li>"
