"""Deleting jobs in a list, and undoing it: what the gallery and the queue share. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from i2v.core.errors import InvalidRequest
from i2v.core.schema import Language
from i2v.service.library import Deleted
from i2v.service.service import Service
from i2v.web.page import panels
from i2v.web.page.tabs.live import View
from i2v.web.texts import text


@dataclass
class Undoable(View):
    """`trashed`: the ids of the jobs that were put into the trash last in this window."""

    trashed: tuple[str, ...] = field(default=(), compare=False)


def said(view: Undoable, deleted: Sequence[Deleted], gone: str, language: Language) -> str:
    """Return what has become of deleted jobs, with a way back where there is one, and remember them.

    gone: what is said where there is no way back.
    """
    kept = next((each for each in deleted if each.video == "kept"), None)
    line = "" if kept is None else text("gallery.deleted.kept", language, path=kept.job.output)
    days = [
        each.kept_until - each.job.deleted_at
        for each in deleted
        if each.kept_until is not None and each.job.deleted_at is not None
    ]
    view.trashed = tuple(each.job.id for each in deleted) if days else ()
    if days:
        return panels.trashed(len(deleted), days[0] / 86400, language) + (panels.plain(line) if line else "")
    return panels.plain(line or gone)


def undo(view: Undoable, service: Service, language: Language) -> str:
    """Restore what was deleted last; return what there is to say. Raises as `Library.restore` does."""
    jobs, view.trashed = view.trashed, ()
    restored = 0
    trouble: InvalidRequest | None = None
    for job in jobs:
        try:
            service.library.restore(job)
            restored += 1
        except InvalidRequest as error:  # its days are over, or its name is taken: the others come back
            trouble = error
    line = panels.plain(text("gallery.restored", language)) if restored else ""
    return line + (panels.error(trouble.to_dict(), language) if trouble else "")
