"""All jobs as HTML: those that run, those that wait and when they will start, and what came of the others.

Pure: jobs go in, markup comes out, every text escaped. Addresses are relative, as in `panels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from types import MappingProxyType

from i2v.core.durations import duration
from i2v.core.schema import Language
from i2v.jobs.model import Job, JobPage
from i2v.service.service import Unfinished
from i2v.web.page import device_panels, panels
from i2v.web.page.allowed import Allows, everything
from i2v.web.texts import model_title, text, translate
from i2v.workers.devices import DeviceState

SHOWN = 200  # of the jobs that wait; the rest is counted
_NO_TITLES: Mapping[str, str] = MappingProxyType({})
_SIGNS = {"first": "⤒", "up": "↑", "down": "↓"}  # buttons that have no room for words


def running(
    unfinished: Sequence[Unfinished],
    language: Language,
    now: float = 0.0,
    paused: bool = False,
    devices: Sequence[DeviceState] = (),
    allows: Allows = everything,
    titles: Mapping[str, str] = _NO_TITLES,
) -> str:
    """Return how many jobs there are to be done, and those that run, with their previews.

    Args:
        now: seconds since 1970.
        devices: those that jobs run on: where there are several, each is shown.
        allows: tells which buttons there are.
        titles: of engines, by name.
    """
    jobs = [each.job for each in unfinished if each.job.status == "running"]
    heading = escape(text("queue.now", language))
    halt = "resume" if paused else "pause"
    buttons = _button(halt, "", language) if allows(halt, None) else ""
    if len(unfinished) > 1 and allows("cancel_all", None):
        asks = text("queue.cancel_all.confirm", language, count=len(unfinished))
        buttons += _button("cancel_all", "", language, confirm=asks)
    every = f'<div class="i2v-acts i2v-clear">{buttons}</div>' if buttons else ""
    if paused:
        every = f'<p class="i2v-paused" role="status">{escape(text("queue.paused", language))}</p>{every}'
    every += device_panels.idle(devices, language)
    if not unfinished:
        return f"<h2>{heading}</h2>{every}{_empty('queue.nothing', language)}"
    counts = escape(text("queue.counts", language, running=len(jobs), waiting=len(unfinished) - len(jobs)))
    names = device_panels.names(devices, language)
    rows = _list(_running(job, language, now, names.get(job.id, ""), allows, titles) for job in jobs)
    return f"<h2>{heading} <small>{counts}</small></h2>{every}{rows}"


def waiting(
    unfinished: Sequence[Unfinished],
    language: Language,
    allows: Allows = everything,
    titles: Mapping[str, str] = _NO_TITLES,
) -> str:
    """Return the jobs that wait, in their order, with the time at which each should start."""
    queued = [each for each in unfinished if each.job.status == "queued"]
    last = len(queued) - 1
    rows = [
        _waiting(each, language, number, last, allows, titles) for number, each in enumerate(queued[:SHOWN])
    ]
    if len(queued) > SHOWN:
        line = text("queue.more", language, count=len(queued) - SHOWN)
        rows.append(f'<li class="i2v-empty">{escape(line)}</li>')
    return _list(rows)


def finished(
    page: JobPage,
    language: Language,
    first: bool,
    now: float,
    unsuccessful: int,
    has_trash: bool = False,
    allows: Allows = everything,
    titles: Mapping[str, str] = _NO_TITLES,
) -> str:
    """Return a page of what has ended, and the buttons to the pages after and before it.

    Args:
        first: there is no page before this one.
        now: seconds since 1970.
        unsuccessful: how many jobs failed or were cancelled, on all pages.
        has_trash: what is deleted can be restored, so that only a star makes a button ask.
        allows: tells which buttons there are.
        titles: of engines, by name.
    """
    heading = f"<h2>{escape(text('queue.finished', language))}</h2>"
    if unsuccessful and allows("clear", None):
        key = "queue.clear.trash" if has_trash else "queue.clear.confirm"
        asks = text(key, language, count=unsuccessful)
        heading += f'<div class="i2v-acts i2v-clear">{_button("clear", "", language, confirm=asks)}</div>'
    rows = _list(_finished(job, language, now, has_trash, allows, titles) for job in page.jobs)
    rows = rows or _empty("queue.none", language)
    turns = "" if first else _button("newer", "", language)
    turns += "" if page.next_cursor is None else _button("older", page.next_cursor, language)
    label = escape(text("queue.turns", language))
    return heading + rows + (f'<nav class="i2v-turns" aria-label="{label}">{turns}</nav>' if turns else "")


def _running(
    job: Job, language: Language, now: float, device: str, allows: Allows, titles: Mapping[str, str]
) -> str:
    buttons = _allowed(("open",) if job.cancel_requested else ("open", "cancel"), job, allows)
    words = (panels.state(job, language, now), *([device] if device else []))
    line = panels.bar(" · ".join(words), job.progress)
    return _row(job, "running", _picture(job, language), line, buttons, language, titles)


def _waiting(
    each: Unfinished, language: Language, number: int, last: int, allows: Allows, titles: Mapping[str, str]
) -> str:
    """`number`: of the job among those that wait, 0 to `last`."""
    job = each.job
    moves = [*(("first", "up") if number else ()), *(("down",) if number < last else ())]
    words = [panels.state(job, language)]
    if each.starts_in is not None and each.starts_in >= 1:
        words.append(text("queue.starts", language, time=duration(each.starts_in, language)))
    line = f'<p class="i2v-subdued">{escape(" · ".join(words))}</p>'
    buttons = _allowed((*moves, "open", "cancel"), job, allows)
    return _row(job, "queued", _thumbnail(job), line, buttons, language, titles)


def _finished(
    job: Job, language: Language, now: float, has_trash: bool, allows: Allows, titles: Mapping[str, str]
) -> str:
    words = []
    if job.finished_at is not None:
        ago = duration(max(0, now - job.finished_at), language)
        words.append(text("queue.ago", language, time=ago))
        if job.started_at is not None:
            took = duration(math.ceil(job.finished_at - job.started_at), language)
            words.append(text("queue.took", language, time=took))
    chip = f'<span class="i2v-chip">{escape(text(f"queue.{job.status}", language))}</span>'
    line = f'<p class="i2v-subdued">{chip} {escape(" · ".join(words))}</p>'
    if job.error is not None:
        line += f'<p class="i2v-error">{escape(translate(job.error, language))}</p>'
    buttons = ("open", "delete") if job.status == "succeeded" else ("open", "retry", "delete")
    asks = "" if has_trash else text("queue.delete.confirm", language)
    if job.starred:
        asks = text("star.confirm", language)
    return _row(
        job, job.status, _thumbnail(job), line, _allowed(buttons, job, allows), language, titles, asks
    )


def _allowed(buttons: Iterable[str], job: Job, allows: Allows) -> list[str]:
    return [act for act in buttons if allows(act, job)]


def _row(
    job: Job,
    kind: str,
    picture: str,
    state: str,
    buttons: Iterable[str],
    language: Language,
    titles: Mapping[str, str],
    before_deleting: str = "",
) -> str:
    """Return a job with its buttons.

    Args:
        state: markup: what stands between the prompt and the `buttons`.
        before_deleting: what that button asks, if anything.
    """
    title, ran = panels.title(job, language), job.generation
    prompt, facts = escape(title), ""
    if ran is not None:
        length = text("result.length.value", language, frames=job.video_frames, fps=ran.video_fps)
        engine = model_title(titles.get(ran.engine, ran.engine), language)
        facts = escape(f"{ran.width} x {ran.height} · {length} · {engine}")
    if job.user is not None:
        facts = " · ".join(filter(None, (facts, escape(job.user))))
    asks = {"delete": before_deleting}
    acts = "".join(_button(act, job.id, language, title, asks.get(act, "")) for act in buttons)
    return (
        f'<li class="i2v-job i2v-{kind}" aria-label="{prompt}">{picture}<div class="i2v-job-text">'
        f'<p class="i2v-job-prompt" title="{prompt}">{prompt}</p><p class="i2v-subdued">{facts}</p>{state}'
        f'</div><div class="i2v-acts">{acts}</div></li>'
    )


def _picture(job: Job, language: Language) -> str:
    """Return what the clip looks like so far, or the picture that the job was given."""
    if job.preview_revision is None:
        return _thumbnail(job)
    address = f"api/v1/jobs/{job.id}/preview?revision={job.preview_revision}"
    return f'<img class="i2v-job-picture" src="{address}" alt="{escape(text("preview.alt", language))}">'


def _thumbnail(job: Job) -> str:
    return f'<img class="i2v-job-picture" src="api/v1/jobs/{job.id}/thumbnail" loading="lazy" alt="">'


def _button(act: str, value: str, language: Language, about: str = "", confirm: str = "") -> str:
    """Return a button.

    about: which of several it is for, to those who do not see what it stands beside.
    confirm: what it asks before it acts.
    """
    label = escape(text(f"queue.{act}", language))
    name = f' aria-label="{label}: {escape(about[:100])}"' if about else ""
    if act in _SIGNS:
        name, label = f'{name} title="{label}"', _SIGNS[act]
    asks = f' data-confirm="{escape(confirm)}" aria-live="polite"' if confirm else ""
    return (
        f'<button type="button" class="i2v-act" data-act="{act}" data-id="{value}"{name}{asks}>'
        f"{label}</button>"
    )


def _list(rows: Iterable[str]) -> str:
    joined = "".join(rows)
    return f'<ul class="i2v-jobs">{joined}</ul>' if joined else ""


def _empty(key: str, language: Language) -> str:
    return f'<p class="i2v-empty">{escape(text(key, language))}</p>'
