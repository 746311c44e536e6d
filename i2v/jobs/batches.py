"""Batches: jobs that were asked for together, and rows that wait to become jobs.

Owns the tables of batches and of their rows. A row has a picture that waits, a job, or an error. It stops
waiting in the transaction that accepts its job (`join`, in that of `JobStore.submit`), so that no picture is
lost or becomes two jobs, whoever dies. Deliberately does not know files, nor how a row becomes a job:
`service.batches` does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, get_args

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import JobStatus, JsonObject, Place, key_of, new_job_id
from i2v.jobs.outbox import record_batch

RowStatus = Literal[
    "waiting", JobStatus, "deleted"
]  # the first: to become a job; the last: its job is gone, or in the trash
STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)
ENDED: tuple[RowStatus, ...] = ("succeeded", "failed", "cancelled", "deleted")

_STATUS = """CASE WHEN j.deleted_at IS NOT NULL THEN 'deleted'
    WHEN r.job IS NOT NULL THEN ifnull(j.status, 'deleted')
    WHEN r.error IS NULL THEN 'waiting'
    WHEN r.error ->> '$.code' = 'job.cancelled' THEN 'cancelled'
    ELSE 'failed' END"""
_ROWS = "batch_rows AS r LEFT JOIN jobs AS j ON j.id = r.job"
_CANCELLED = json.dumps(I2VError("job.cancelled").to_dict())

Connecting = Callable[[], AbstractContextManager[sqlite3.Connection]]


@dataclass(frozen=True)
class Batch:
    """A batch at one moment.

    Attributes:
        name: for people; may be empty.
        fields: of a `GenerationRequest`: what its rows do not say themselves.
        created_at: seconds since 1970.
        user: the name of whose it is; `None`: nobody's.
        counts: rows by status, all of them named.
        progress: of all rows, 0 to 1; a row that has ended is done, whatever came of it.
    """

    id: str
    name: str
    fields: JsonObject
    created_at: float
    counts: Mapping[RowStatus, int]
    progress: float
    user: str | None = None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_finished(self) -> bool:
        return all(status in ENDED or not count for status, count in self.counts.items())


@dataclass(frozen=True)
class NewRow:
    """A row to be: `picture` names its file, or `error` says why there is none."""

    name: str
    fields: JsonObject
    picture: str | None = None
    error: JsonObject | None = None


@dataclass(frozen=True)
class Row:
    """A row at one moment.

    Attributes:
        number: from 1, in the order in which the rows came.
        name: of the picture, for people.
        fields: what it says itself, where it came as a row.
        picture: names the file that waits to become a job's.
        job: the id of what it became, also where that was deleted.
        progress: of the job, 0 to 1.
        error: why it did not become a job, or why the job failed.
    """

    number: int
    name: str
    fields: JsonObject
    picture: str | None
    job: str | None
    status: RowStatus
    progress: float
    error: JsonObject | None


class BatchStore:
    """The batches of a `JobStore`, in its database: it hands in its transactions.

    Methods that take an id raise `InvalidRequest` (`batch.unknown`).
    """

    def __init__(self, read: Connecting, write: Connecting, clock: Callable[[], float]) -> None:
        self._read = read
        self._write = write
        self._clock = clock

    def create(
        self,
        name: str,
        fields: JsonObject,
        idempotency_key: str | None = None,
        webhook: str | None = None,
        user: str | None = None,
    ) -> Batch:
        """Make an empty batch, or return the one that was made with the key.

        webhook: its own, as JSON. Raises `InvalidRequest`: `job.idempotency_conflict`, where the one that
        was made with the key is another.
        """
        key = key_of(user, idempotency_key)
        with self._write() as db:
            earlier = db.execute(
                "SELECT id, name, fields, webhook FROM batches WHERE idempotency_key = ?", [key]
            ).fetchone()
            if earlier is not None:
                found = (earlier["name"], json.loads(earlier["fields"]), earlier["webhook"])
                if found != (name, fields, webhook):
                    raise InvalidRequest("job.idempotency_conflict", key=shown(idempotency_key))
                return _batch(db, earlier["id"])
            batch = new_job_id()
            db.execute(
                """INSERT INTO batches (id, name, fields, idempotency_key, webhook, created_at, user)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                [batch, name, json.dumps(fields), key, webhook, self._clock(), user],
            )
            return _batch(db, batch)

    def get(self, batch: str) -> Batch:
        with self._read() as db:
            return _batch(db, batch)

    def page(self, after: str | None = None, limit: int = 50) -> list[Batch]:
        """Return up to `limit` batches, newest first; those that are older than the batch `after`."""
        with self._read() as db:
            older = "" if after is None else f"WHERE seq < {_seq(db, after)}"
            ids = db.execute(f"SELECT id FROM batches {older} ORDER BY seq DESC LIMIT ?", [limit]).fetchall()
            return [_batch(db, row["id"]) for row in ids]

    def rows(self, batch: str) -> list[Row]:
        with self._read() as db:
            _seq(db, batch)
            found = db.execute(
                f"""SELECT r.*, {_STATUS} AS status, ifnull(j.progress, 0) AS progress, j.error AS job_error
                    FROM {_ROWS} WHERE r.batch = ? ORDER BY r.number""",
                [batch],
            ).fetchall()
        return [_row(row) for row in found]

    def add(self, batch: str, rows: Sequence[NewRow]) -> None:
        """Put all of the rows behind the last one."""
        with self._write() as db:
            _seq(db, batch)
            for number, row in enumerate(rows, _next_number(db, batch)):
                error = None if row.error is None else json.dumps(row.error)
                db.execute(
                    """INSERT INTO batch_rows (batch, number, name, fields, picture, error)
                       VALUES (?, ?, ?, ?, ?, ?)""",
                    [batch, number, row.name, json.dumps(row.fields), row.picture, error],
                )
            if rows:
                note_end(db, batch, self._clock())  # where no row has a picture

    def first_waiting(self, without: Collection[str] = ()) -> tuple[Batch, Row] | None:
        """Return the row that is to become a job next: of the oldest batch, the first.

        without: users whose batches are passed over.
        """
        with self._read() as db:
            found = db.execute(
                """SELECT r.*, 'waiting' AS status, 0 AS progress, NULL AS job_error
                   FROM batches AS b JOIN batch_rows AS r ON r.batch = b.id
                   WHERE r.job IS NULL AND r.error IS NULL
                       AND ifnull(b.user, '') NOT IN (SELECT value FROM json_each(?))
                   ORDER BY b.seq, r.number LIMIT 1""",
                [json.dumps(list(without))],
            ).fetchone()
            return None if found is None else (_batch(db, found["batch"]), _row(found))

    def refuse(self, batch: str, number: int, error: JsonObject) -> None:
        """Say why the row did not become a job, if it still waits."""
        with self._write() as db:
            changed = db.execute(
                """UPDATE batch_rows SET error = ?
                   WHERE batch = ? AND number = ? AND job IS NULL AND error IS NULL""",
                [json.dumps(error), batch, number],
            )
            if changed.rowcount:
                note_end(db, batch, self._clock())

    def cancel_waiting(self, batch: str) -> None:
        """Let no row of the batch become a job any more."""
        with self._write() as db:
            _seq(db, batch)
            changed = db.execute(
                "UPDATE batch_rows SET error = ? WHERE batch = ? AND job IS NULL AND error IS NULL",
                [_CANCELLED, batch],
            )
            if changed.rowcount:
                note_end(db, batch, self._clock())

    def retry_refused(self, batch: str) -> None:
        """Let rows wait again that did not become jobs, where their pictures are still there."""
        with self._write() as db:
            _seq(db, batch)
            db.execute(
                """UPDATE batch_rows SET error = NULL
                   WHERE batch = ? AND job IS NULL AND picture IS NOT NULL AND error IS NOT NULL""",
                [batch],
            )

    def pictures(self) -> set[str]:
        """Return the names of all files that wait: any other is an orphan."""
        with self._read() as db:
            rows = db.execute("SELECT picture FROM batch_rows WHERE picture IS NOT NULL")
            return {row["picture"] for row in rows.fetchall()}

    def delete(self, batch: str) -> None:
        """Forget the batch and its rows. Its jobs stay, and belong to none."""
        with self._write() as db:
            _seq(db, batch)
            db.execute("DELETE FROM batches WHERE id = ?", [batch])
            db.execute("DELETE FROM batch_rows WHERE batch = ?", [batch])
            db.execute("UPDATE jobs SET batch = NULL WHERE batch = ?", [batch])


def join(db: sqlite3.Connection, job: str, place: Place) -> None:
    """Make a new job a row of its batch, in the transaction that accepts it.

    Raises `InvalidRequest`: `batch.unknown`, also where the row has been taken away or cancelled meanwhile.
    """
    _seq(db, place.batch)
    if place.number is None:
        db.execute(
            "INSERT INTO batch_rows (batch, number, name, fields, job) VALUES (?, ?, ?, '{}', ?)",
            [place.batch, _next_number(db, place.batch), place.name, job],
        )
        return
    changed = db.execute(
        """UPDATE batch_rows SET job = ?, picture = NULL
           WHERE batch = ? AND number = ? AND job IS NULL AND error IS NULL""",
        [job, place.batch, place.number],
    )
    if changed.rowcount != 1:
        raise _unknown(place.batch)


def note_end(db: sqlite3.Connection, batch: str, now: float) -> None:
    """Write into the outbox that the batch has finished, if what has just ended was the last of it."""
    if db.execute("SELECT 1 FROM batches WHERE id = ?", [batch]).fetchone() is None:
        return  # whatever became of it, its jobs end
    found = _batch(db, batch)
    if found.is_finished:
        counts = {status: count for status, count in found.counts.items() if count}
        record_batch(db, batch, "finished", now, {"counts": counts})


def _next_number(db: sqlite3.Connection, batch: str) -> int:
    (last,) = db.execute("SELECT ifnull(max(number), 0) FROM batch_rows WHERE batch = ?", [batch]).fetchone()
    return int(last) + 1


def _seq(db: sqlite3.Connection, batch: str) -> int:
    # Ids come from clients, and SQLite takes no lone surrogates; ours are ASCII.
    row = db.execute("SELECT seq FROM batches WHERE id = ?", [batch]).fetchone() if batch.isascii() else None
    if row is None:
        raise _unknown(batch)
    return int(row["seq"])


def _unknown(batch: str) -> InvalidRequest:
    return InvalidRequest("batch.unknown", id=shown(batch))


def _batch(db: sqlite3.Connection, batch: str) -> Batch:
    _seq(db, batch)
    found = db.execute("SELECT * FROM batches WHERE id = ?", [batch]).fetchone()
    groups = db.execute(
        f"""SELECT {_STATUS} AS status, count(*) AS count, sum(ifnull(j.progress, 0)) AS progress
            FROM {_ROWS} WHERE r.batch = ? GROUP BY 1""",
        [batch],
    ).fetchall()
    counts: dict[RowStatus, int] = dict.fromkeys(STATUSES, 0)
    counts.update({row["status"]: row["count"] for row in groups})
    done = sum(
        row["count"] if row["status"] in ENDED else row["progress"] for row in groups
    )  # a job that waits has a progress of 0
    total = sum(counts.values())
    return Batch(
        found["id"],
        found["name"],
        json.loads(found["fields"]),
        found["created_at"],
        counts,
        done / total if total else 0.0,
        found["user"],
    )


def _row(row: sqlite3.Row) -> Row:
    error = row["error"] or row["job_error"]
    return Row(
        number=row["number"],
        name=row["name"],
        fields=json.loads(row["fields"]),
        picture=row["picture"],
        job=row["job"],
        status=row["status"],
        progress=row["progress"],
        error=None if error is None else json.loads(error),
    )
