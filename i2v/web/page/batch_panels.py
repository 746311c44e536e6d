"""A batch as HTML: what became of each picture, and how far all of them are.

Pure: entries and their jobs go in, markup comes out, every text escaped; the names of pictures come from
visitors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from i2v.core.schema import Language, shown
from i2v.jobs.model import Job, JsonObject
from i2v.web.page import panels
from i2v.web.page.queue_panels import duration
from i2v.web.texts import text, translate


@dataclass(frozen=True)
class Entry:
    """One picture of a batch: the job it became, or why there is none; before its turn, neither.

    name: of the picture's file. left: the queue was full when its turn came.
    """

    name: str
    job: str = ""
    error: JsonObject | None = None
    left: bool = False

    @property
    def is_waiting(self) -> bool:
        return not (self.job or self.error or self.left)


def batch(entries: Sequence[Entry], jobs: Mapping[str, Job], language: Language) -> str:
    """Return how far the batch is, and a line for each picture; `jobs` by id, without deleted ones."""
    if not entries:
        return ""
    rows = "".join(_row(entry, jobs.get(entry.job), language) for entry in entries)
    to_queue = (
        f'<button type="button" class="i2v-act" data-act="queue">{_said("batch.queue", language)}</button>'
    )
    return f'{_summary(entries, jobs, language)}<ol class="i2v-batch">{rows}</ol>{to_queue}'


def forecast(count: int, seconds: float | None, language: Language) -> str:
    """Return how long so many clips of `seconds` each will take; `None`: nobody knows yet."""
    if seconds is None:
        line = text("batch.forecast.unknown", language, count=count)
    else:
        each, together = (duration(time, language) for time in (seconds, count * seconds))
        line = text("batch.forecast", language, count=count, each=each, together=together)
    return f'<p class="i2v-subdued">{escape(line)}</p>'


def left(entries: Iterable[Entry], language: Language) -> str:
    """Return a line with the pictures that were left out."""
    names = ", ".join(_name(entry) for entry in entries if entry.left)
    return panels.plain(text("batch.left", language, names=names), "i2v-error")


def _summary(entries: Sequence[Entry], jobs: Mapping[str, Job], language: Language) -> str:
    done = sum(job.status == "succeeded" for job in jobs.values())
    lost = sum(job.status in ("failed", "cancelled") for job in jobs.values())
    lost += sum(entry.error is not None for entry in entries)
    line = text("batch.done", language, done=done, total=len(entries))
    if lost:
        line += " · " + text("batch.lost", language, count=lost)
    # Deleted jobs are not among the jobs, so a bar that counts what is left to do gets full all the same.
    open_ones = sum(entry.is_waiting for entry in entries) + sum(
        1 - job.progress for job in jobs.values() if job.finished_at is None
    )
    return panels.bar(line, 1 - open_ones / len(entries))


def _row(entry: Entry, job: Job | None, language: Language) -> str:
    kind, line, picture, button = "i2v-subdued", text("batch.waiting", language), "", ""
    if entry.error is not None:
        kind, line = "i2v-error", translate(entry.error, language)
    elif entry.left:
        kind, line = "i2v-error", text("batch.not_submitted", language)
    elif entry.job and job is None:
        line = text("batch.deleted", language)
    elif job is not None:
        line = panels.state(job, language)
        kind = "i2v-error" if job.status == "failed" else kind
        picture = f'<img src="api/v1/jobs/{job.id}/thumbnail" alt="">'
        label = _said("gallery.open", language)
        button = f'<button type="button" class="i2v-act" data-act="open" data-id="{job.id}">{label}</button>'
    name = f'<span class="i2v-batch-name">{escape(_name(entry))}</span>'
    return f'<li>{picture}<div>{name}<span class="{kind}">{escape(line)}</span></div>{button}</li>'


def _name(entry: Entry) -> str:
    return shown(entry.name, limit=80)


def _said(key: str, language: Language) -> str:
    return escape(text(key, language))
