"""A job's row in the database as a `Job`, whichever version of the program wrote it.

Owns how tolerant reading is: what this version does not know is passed over and stays in the row, and a part
that cannot be read is missing from the job, which says so. One such row must not hide all others.
Deliberately does not know statements: `table` does.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache, partial
from typing import TypeVar, get_args

from i2v.core.errors import Notice, read_notices
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.memory_plan import PlannedMemory
from i2v.core.results import Result
from i2v.core.stored import parse_json, read_as
from i2v.jobs.model import Job, JsonObject, OwnedFiles, PastAttempt, Phase

T = TypeVar("T")

_READ = {
    "request", "generation", "plan", "notices", "phase", "cancel_requested", "result", "error", "history",
    "other_inputs", "starred", "tags",
}  # fmt: skip
_PLAIN = tuple(field.name for field in fields(Job) if field.name not in _READ)  # as they are in the row

log = logging.getLogger(__name__)


def dump(value: object) -> str:
    """Return `value` as JSON in ASCII, which can carry what UTF-8 cannot (lone surrogates); refuse NaN."""
    return json.dumps(value, allow_nan=False)


def job_of(row: sqlite3.Row) -> Job:
    """Return a row that `table.SELECT` made as a job; a notice tells of what cannot be read."""
    parts = _Parts(row)
    generation = parts.read("generation", partial(read_as, Generation))
    result = None if generation is None else parts.read("result", partial(_result, generation=generation))
    request = parts.read("request", _object) or {}
    other_inputs = parts.read("other_inputs", partial(read_as, tuple[str, ...])) or ()
    plan = parts.read("plan", partial(read_as, PlannedMemory))
    notices = parts.read("notices", read_notices) or ()
    error = parts.read("error", _error)
    history = parts.read("history", partial(read_as, tuple[PastAttempt, ...])) or ()
    tags = parts.read("tags", partial(read_as, tuple[str, ...])) or ()
    if parts.reason:
        unreadable = Notice("job.unreadable", {"reason": parts.reason})
        notices = (*(notice for notice in notices if notice.code != unreadable.code), unreadable)
        if error is None and row["error"] is not None:
            error = unreadable.to_dict()
    return Job(
        **{name: row[name] for name in _PLAIN},
        request=request,
        generation=generation,
        other_inputs=other_inputs,
        plan=plan,
        notices=notices,
        phase=row["phase"] if row["phase"] in get_args(Phase) else "denoising",  # a later version's
        cancel_requested=bool(row["cancel_requested"]),
        starred=bool(row["starred"]),
        tags=tags,
        result=result,
        error=error,
        history=history,
    )


def run_of(row: sqlite3.Row) -> tuple[Generation, Result] | None:
    """Return what was run and what came of it, of a row with these columns and the id; `None`: unreadable."""
    parts = _Parts(row)
    generation = parts.read("generation", partial(read_as, Generation))
    if generation is None:
        return None
    result = parts.read("result", partial(_result, generation=generation))
    return None if result is None else (generation, result)


def files_of(row: sqlite3.Row) -> OwnedFiles:
    """Return what the job of a row with these columns owns."""
    others = _Parts(row).read("other_inputs", partial(read_as, tuple[str, ...])) or ()
    return OwnedFiles(
        row["id"],
        (row["input"], *others),
        row["output"],
        row["finished_at"],
        bool(row["starred"]),
        row["deleted_at"],
    )


class _Parts:
    """The columns of one row that hold JSON.

    Attributes:
        reason: what is wrong with the first one that could not be read; "" as long as there is none.
    """

    def __init__(self, row: sqlite3.Row) -> None:
        self._row = row
        self.reason = ""

    def read(self, column: str, read: Callable[[object], T]) -> T | None:
        """Return the column as `read` has it; `None` where it is NULL or cannot be read."""
        if self._row[column] is None:
            return None
        try:
            return read(parse_json(self._row[column]))
        except ValueError as error:
            reason = shown(f"{column}: {error}", limit=200)
            _log_once(self._row["id"], reason)
            self.reason = self.reason or reason
            return None


@lru_cache(maxsize=1000)
def _log_once(job_id: str, reason: str) -> None:
    log.warning("job %s: its details cannot be read: %s", job_id, reason)


def _result(value: object, generation: Generation) -> Result:
    return Result.from_dict(_object(value), generation)


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _error(value: object) -> JsonObject:
    error = _object(value)
    if not (isinstance(error.get("code"), str) and isinstance(error.get("message"), str)):
        raise ValueError("it has no code and message")
    return error
