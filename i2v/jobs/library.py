"""The jobs as a library: which are looked for, which have a star or tags, which lie in the trash.

Owns those statements; `table` has how a row is read and ends. Deliberately does not know files: `service` has
what becomes of a trashed job's.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import asdict

from i2v.core.errors import InvalidRequest
from i2v.core.fields import PROMPT_LIMIT, clean_text, shown
from i2v.jobs.database import Database
from i2v.jobs.model import ALL, Filters, Job, JobPage, SortOrder, StatusFilter
from i2v.jobs.rows import dump, job_of
from i2v.jobs.table import NEXT, SELECT, counted, get_job

# By order: what rows are sorted by, and which of them come behind a cursor's row.
_ORDERS: dict[SortOrder, tuple[str, str]] = {
    "newest": ("seq DESC", "seq < :seq"),
    "oldest": ("seq", "seq > :seq"),
    "starred": ("starred DESC, seq DESC", "(starred, seq) < (:star, :seq)"),
}
_TAGS = "iif(json_valid(tags), tags, '[]')"
MAX_TAGS = 20  # of a job
MAX_TAG = 40  # characters
_FIELD = "iif(json_valid(generation), generation ->> '$.{}', NULL)"


class Library:
    """The part of a `JobStore` that `jobs.store` does not have itself; threads share it.

    Every method may raise `I2VError` (`database.*`) if the file cannot be used.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """`clock`: seconds since 1970."""
        self._database = database
        self._clock = clock

    def star(self, job_id: str, starred: bool) -> Job:
        """Give the job a star, or take it away; raise `InvalidRequest` (`job.unknown`)."""
        with counted(self._database) as db:
            job = get_job(db, job_id)
            if job.starred != starred:
                db.execute(f"UPDATE jobs SET starred = ?, revision = {NEXT} WHERE id = ?", [starred, job.id])
            return get_job(db, job.id)

    def tag(self, job_id: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Job:
        """Give the job tags, and take others away; one that it has, or has not, is passed over.

        Raises `InvalidRequest`: `job.unknown`; `request.invalid` as `tag_of` does, and for more than
        `MAX_TAGS`.
        """
        added, removed = {tag_of(each) for each in add}, {tag_of(each) for each in remove}
        with counted(self._database) as db:
            job = get_job(db, job_id)
            tags = sorted(added | (set(job.tags) - removed))
            if len(tags) > MAX_TAGS:
                allowed = f"at most {MAX_TAGS} for a job"
                raise InvalidRequest("request.invalid", field="tags", value=len(tags), allowed=allowed)
            if tags != list(job.tags):
                db.execute(f"UPDATE jobs SET tags = ?, revision = {NEXT} WHERE id = ?", [dump(tags), job.id])
            return get_job(db, job.id)

    def tags(self) -> dict[str, int]:
        """Return the tags that there are, and how many jobs have each; the trash is not counted."""
        with self._database.read() as db:
            rows = db.execute(
                f"""SELECT value, count(*) FROM jobs, json_each({_TAGS})
                    WHERE deleted_at IS NULL AND tags != '[]' GROUP BY value ORDER BY value"""
            )
            return dict(rows.fetchall())

    def trash(self, job_id: str) -> Job:
        """Put a finished job into the trash. Its idempotency key is free again.

        Raises:
            InvalidRequest: `job.not_finished`; `job.unknown`, also where it is in the trash.
        """
        with counted(self._database) as db:
            job = get_job(db, job_id)
            if job.finished_at is None:
                raise InvalidRequest("job.not_finished", id=job.id, status=job.status)
            db.execute(
                f"UPDATE jobs SET deleted_at = ?, idempotency_key = NULL, revision = {NEXT} WHERE id = ?",
                [max(self._clock(), job.finished_at), job.id],
            )
            return get_job(db, job.id, deleted=True)

    def restore(self, job_id: str) -> Job:
        """Take a job out of the trash; one that is not there is returned as it is.

        Raises `InvalidRequest` (`job.unknown`).
        """
        with counted(self._database) as db:
            if get_job(db, job_id, deleted=True).deleted_at is not None:
                db.execute(f"UPDATE jobs SET deleted_at = NULL, revision = {NEXT} WHERE id = ?", [job_id])
            return get_job(db, job_id)

    def ids(self) -> list[str]:
        """Return the ids of all jobs that are not in the trash."""
        with self._database.read() as db:
            rows = db.execute("SELECT id FROM jobs WHERE deleted_at IS NULL")
            return [row["id"] for row in rows.fetchall()]

    def trashed(self, job_id: str) -> Job:
        """Return the job, in the trash or not; raise `InvalidRequest` (`job.unknown`)."""
        with self._database.read() as db:
            return get_job(db, job_id, deleted=True)


def tag_of(text: str) -> str:
    """Return a tag as it is kept: in small letters, with one space between words.

    Raises `InvalidRequest` (`request.invalid`).
    """
    tag = _normal(_checked(text, "tags"))
    if not 0 < len(tag) <= MAX_TAG or "," in tag or not tag.isprintable():
        allowed = f"1 to {MAX_TAG} characters without a comma"
        raise InvalidRequest("request.invalid", field="tags", value=shown(text), allowed=allowed)
    return tag


def get_page(
    db: sqlite3.Connection,
    status: StatusFilter | None,
    cursor: str | None,
    limit: int,
    search: str,
    filters: Filters = ALL,
) -> JobPage:
    """See `JobStore.page`."""
    order, behind = _ORDERS[filters.order]
    star, seq = _place(cursor, filters.order)
    conditions = {
        f"deleted_at IS {'NOT ' if filters.deleted else ''}NULL": True,
        "status = :status": status not in (None, "finished"),
        "status NOT IN ('queued', 'running')": status == "finished",
        behind: cursor is not None,
        "starred": filters.starred,
        "created_at >= :since": filters.since is not None,
        "created_at <= :until": filters.until is not None,
        f"{_FIELD.format('engine')} = :engine": filters.engine != "",
        "user = :user": filters.user != "",
        f":tag IN (SELECT value FROM json_each({_TAGS}))": filters.tag != "",
        f"{_FIELD.format('prompt')} LIKE :pattern ESCAPE '\\'": search != "",
    }
    where = " AND ".join(condition for condition, applies in conditions.items() if applies)
    values = asdict(filters) | {
        "status": status,
        "star": star,
        "seq": seq,
        "limit": limit + 1,
        "pattern": _pattern(search),
        "engine": _checked(filters.engine, "engine"),
        "user": _checked(filters.user, "owner"),
        "tag": _normal(_checked(filters.tag, "tag")),
    }
    rows = db.execute(f"{SELECT} WHERE {where} ORDER BY {order} LIMIT :limit", values).fetchall()
    more = _cursor(rows[limit - 1], filters.order) if len(rows) > limit else None
    return JobPage(tuple(job_of(row) for row in rows[:limit]), more)


def _cursor(row: sqlite3.Row, order: SortOrder) -> str:
    return f"{row['starred']}-{row['seq']}" if order == "starred" else str(row["seq"])


def _place(cursor: str | None, order: SortOrder) -> tuple[int, int]:
    """Return what `_cursor` wrote: a star or none, and a job's number."""
    words = r"(?:([01])-)(\d{1,18})" if order == "starred" else r"()(\d{1,18})"
    match = re.fullmatch(words, cursor or "", re.ASCII)
    if match is None and cursor is not None:
        raise InvalidRequest("job.bad_cursor", cursor=shown(cursor))
    return (0, 0) if match is None else (int(match[1] or 0), int(match[2]))


def _normal(tag: str) -> str:
    return " ".join(unicodedata.normalize("NFC", tag).lower().split())


def _pattern(search: str) -> str:
    """Return the pattern of LIKE for texts that contain `search`, which may come from anywhere."""
    return "%" + re.sub(r"[\\%_]", r"\\\g<0>", _checked(search, "search")) + "%"


def _checked(words: str, field: str) -> str:
    """Return the words, which may come from anywhere, if a job's can be compared with them."""
    try:
        clean_text(words)
    except ValueError as error:
        raise InvalidRequest("request.invalid", field=field, value=shown(words), allowed=str(error)) from None
    if len(words) > PROMPT_LIMIT:  # SQLite has a limit of its own, in bytes
        allowed = f"at most {PROMPT_LIMIT} characters"
        raise InvalidRequest("request.invalid", field=field, value=shown(words), allowed=allowed)
    return words
