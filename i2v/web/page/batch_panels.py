"""A batch as HTML: the pictures that it is to have, what became of each, and how far all of them are.

Pure: rows and their jobs go in, markup comes out, every text escaped; the names of pictures come from
visitors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from i2v.core.durations import duration
from i2v.core.fields import PROMPT_LIMIT, shown
from i2v.core.schema import Language
from i2v.jobs.batches import Batch, Row
from i2v.jobs.model import Job, JsonObject
from i2v.web.page import panels
from i2v.web.texts import text, translate


@dataclass(frozen=True)
class Draft:
    """A picture that is to be a row: its own prompt ("": that of all), and its own other fields."""

    path: Path
    prompt: str = ""
    fields: JsonObject = field(default_factory=dict)


def drafts(listed: Sequence[Draft], language: Language) -> str:
    """Return a table of the pictures, each with a box for its own prompt."""
    if not listed:
        return ""
    rows = "".join(_draft(number, draft, language) for number, draft in enumerate(listed))
    return f'<p class="i2v-label">{_said("batch.table", language)}</p><ol class="i2v-batch">{rows}</ol>'


def batch(
    shown_batch: Batch, rows: Sequence[Row], jobs: Mapping[str, Job], left: float | None, language: Language
) -> str:
    """Return how far the batch is, what can be done with it, and a line for each picture.

    jobs: by id, without deleted ones. left: seconds until all is done, `None` where that is not known.
    """
    lines = "".join(_row(row, jobs.get(row.job or ""), language) for row in rows)
    summary = _summary(shown_batch, left, language)
    return f'{summary}{_buttons(shown_batch, language)}<ol class="i2v-batch">{lines}</ol>'


def forecast(count: int, seconds: float | None, language: Language) -> str:
    """Return how long so many clips of `seconds` each will take; `None`: nobody knows yet."""
    if seconds is None:
        line = text("batch.forecast.unknown", language, count=count)
    else:
        each, together = (duration(time, language) for time in (seconds, count * seconds))
        line = text("batch.forecast", language, count=count, each=each, together=together)
    return f'<p class="i2v-subdued">{escape(line)}</p>'


def no_pictures(names: Sequence[str], language: Language) -> str:
    """Return a line with the pictures that a file names and nobody has dropped."""
    listed = ", ".join(shown(name, limit=80) for name in names)
    return panels.plain(text("batch.no_picture", language, names=listed), "i2v-error")


def _draft(number: int, draft: Draft, language: Language) -> str:
    name = _name(draft.path.name)
    label = escape(text("batch.prompt_of", language, name=name))
    others = ", ".join(f"{name} {shown(value)}" for name, value in draft.fields.items())
    return (
        f'<li><div><span class="i2v-batch-name">{escape(name)}</span>'
        f'<span class="i2v-subdued">{escape(others)}</span></div>'
        f'<input type="text" data-row="{number}" value="{escape(draft.prompt)}" maxlength="{PROMPT_LIMIT}"'
        f' aria-label="{label}"></li>'
    )


def _summary(shown_batch: Batch, left: float | None, language: Language) -> str:
    counts = shown_batch.counts
    line = text("batch.done", language, done=counts["succeeded"], total=shown_batch.total)
    if lost := counts["failed"] + counts["cancelled"]:
        line += " · " + text("batch.lost", language, count=lost)
    if left is not None and not shown_batch.is_finished:
        line += " · " + text("batch.time_left", language, time=duration(left, language))
    return panels.bar(line, shown_batch.progress)


def _buttons(shown_batch: Batch, language: Language) -> str:
    """Return a button for each thing that would do something now."""
    counts, name = shown_batch.counts, shown_batch.id
    buttons = []
    if counts["succeeded"]:
        address = f"api/v1/batches/{name}/zip"
        buttons.append(f'<a class="i2v-act" href="{address}" download>{_said("batch.zip", language)}</a>')
    if counts["failed"] + counts["cancelled"]:
        buttons.append(_button("retry", "batch.retry", name, language))
    if not shown_batch.is_finished:
        sure = f' data-confirm="{_said("batch.cancel.sure", language)}"'
        buttons.append(_button("cancel", "batch.cancel", name, language, sure))
    buttons.append(_button("queue", "batch.queue", "", language))
    return f'<div class="i2v-batch-acts">{"".join(buttons)}</div>'


def _row(row: Row, job: Job | None, language: Language) -> str:
    kind, line, picture, button = "i2v-subdued", text("batch.waiting", language), "", ""
    if job is not None:
        line = panels.state(job, language)
        kind = "i2v-error" if job.status == "failed" else kind
        picture = f'<img src="api/v1/jobs/{job.id}/thumbnail" alt="">'
        button = _button("open", "gallery.open", job.id, language)
    elif row.job is not None:
        line = text("batch.deleted", language)
    elif row.error is not None:
        kind, line = "i2v-error", translate(row.error, language)
    name = f'<span class="i2v-batch-name">{escape(_name(row.name))}</span>'
    return f'<li>{picture}<div>{name}<span class="{kind}">{escape(line)}</span></div>{button}</li>'


def _button(act: str, key: str, name: str, language: Language, more: str = "") -> str:
    return (
        f'<button type="button" class="i2v-act" data-act="{act}" data-id="{name}"{more}>'
        f"{_said(key, language)}</button>"
    )


def _name(name: str) -> str:
    return shown(name, limit=80)


def _said(key: str, language: Language) -> str:
    return escape(text(key, language))
