"""The outbox: one row for each transition of a job or a batch, written in the transaction that makes it.

Owns what a row says, in which order rows are read, and when they go. Whoever follows jobs reads on from the
number that it has read last: none is missed, and a transition that was undone has no row. A durable reader
keeps its number in the database, in the transaction that does its work. Deliberately does not know who reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from i2v.core.stored import parse_json
from i2v.jobs.database import Database
from i2v.jobs.model import FinalStatus, JsonObject
from i2v.jobs.rows import dump

DAY = 86400.0
READ_SECONDS = DAY  # rows that all durable readers have read are kept for those that keep no number
UNREAD_SECONDS = 7 * DAY  # what was not read by then is given up

JobEvent = Literal["submitted", "started", "requeued", FinalStatus, "deleted"]
BatchEvent = Literal["finished"]


@dataclass(frozen=True)
class Transition:
    """What has happened to a job or, where `batch_id` is given, to a batch.

    Attributes:
        number: grows by at least one with each, and is never used again.
        at: seconds since 1970.
        attempt: how many attempts there were, this one included.
        engine: `None` where the job cannot be read.
        details: of `failed`, its `error`; of `requeued`, the `reason` (how the attempt ended, or
            "retried"); of `succeeded`, `seconds` by phase and `peak_bytes`, where it was measured; of all
            that end a job, the codes of its `notices`, and the `duration` of the last attempt in seconds,
            unless it never began. Of a batch that has `finished`, the `counts` of its rows by status.
        webhook, user: its own, as the submission had them.
    """

    number: int
    job_id: str | None
    batch_id: str | None
    event: JobEvent | BatchEvent
    at: float
    attempt: int
    engine: str | None
    details: JsonObject
    webhook: str | None
    user: str | None = None


def record(
    db: sqlite3.Connection,
    job_id: str,
    event: JobEvent,
    at: float,
    details: Mapping[str, object] | None = None,
) -> None:
    """Write the row of a transition, in its own transaction; the job's row is as it is after it."""
    db.execute(
        """INSERT INTO outbox (job, event, at, attempt, engine, details, webhook, user)
            SELECT id, ?, ?, attempt, iif(json_valid(generation), generation ->> '$.engine', NULL), ?,
                webhook, user
            FROM jobs WHERE id = ?""",
        [event, at, dump(details or {}), job_id],
    )


def record_batch(
    db: sqlite3.Connection, batch_id: str, event: BatchEvent, at: float, details: Mapping[str, object]
) -> None:
    """Write the row of what has happened to a batch, in its own transaction."""
    db.execute(
        """INSERT INTO outbox (batch, event, at, attempt, details, webhook, user)
            SELECT id, ?, ?, 0, ?, webhook, user FROM batches WHERE id = ?""",
        [event, at, dump(details), batch_id],
    )


def read_after(db: sqlite3.Connection, number: int, limit: int) -> list[Transition]:
    """Return up to `limit` transitions behind `number`, in their order."""
    rows = db.execute("SELECT * FROM outbox WHERE number > ? ORDER BY number LIMIT ?", [number, limit])
    return [_transition(row) for row in rows.fetchall()]


def count_submitted(db: sqlite3.Connection, user: str, since: float) -> tuple[int, float]:
    """Return how many jobs the user has submitted since then, also such as were deleted, and when the first.

    since: seconds since 1970, not longer ago than `READ_SECONDS`.
    """
    row = db.execute(
        """SELECT count(*) AS count, ifnull(min(at), 0) AS first FROM outbox
           WHERE at > ? AND user = ? AND event = 'submitted'""",
        [since, user],
    ).fetchone()
    return int(row["count"]), float(row["first"])


def read_position(db: sqlite3.Connection, reader: str) -> int:
    """Return the number that a durable reader has read last; 0 at its beginning."""
    row = db.execute("SELECT number FROM outbox_readers WHERE reader = ?", [reader]).fetchone()
    return 0 if row is None else int(row["number"])


def move_position(db: sqlite3.Connection, reader: str, number: int) -> None:
    """Note that a durable reader has read up to `number`."""
    db.execute("INSERT OR REPLACE INTO outbox_readers VALUES (?, ?)", [reader, number])


def prune(db: sqlite3.Connection, now: float) -> None:
    """Remove the rows that are old enough; without a durable reader, none counts as read."""
    db.execute(
        """DELETE FROM outbox WHERE at < :unread
            OR (at < :read AND number <= (SELECT min(number) FROM outbox_readers))""",
        {"unread": now - UNREAD_SECONDS, "read": now - READ_SECONDS},
    )


class Outbox:
    """For readers that keep their number themselves: what they miss while they are away, they miss."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """Return the number of the last transition there was; 0 before the first."""
        with self._database.read() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return 0 if row is None else int(row["seq"])

    def after(self, number: int, limit: int = 1000) -> list[Transition]:
        """See `read_after`."""
        with self._database.read() as db:
            return read_after(db, number, limit)


def _transition(row: sqlite3.Row) -> Transition:
    details = parse_json(row["details"])
    return Transition(
        number=row["number"],
        job_id=row["job"],
        batch_id=row["batch"],
        event=cast("JobEvent | BatchEvent", row["event"]),
        at=row["at"],
        attempt=row["attempt"],
        engine=row["engine"],
        details=details if isinstance(details, dict) else {},
        webhook=row["webhook"],
        user=row["user"],
    )
