"""The job table: the statements that find jobs and that change one.

Owns how a job is written down (`migrations` has the columns, `rows` reads them). Deliberately does not know
when a job may change: `store` does, and hands in the connection with its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict

from i2v.core.errors import InvalidRequest, Notice
from i2v.core.fields import shown
from i2v.core.results import Result
from i2v.core.stored import parse_json
from i2v.jobs.batches import join, note_end
from i2v.jobs.database import Database
from i2v.jobs.devices import UNKNOWN
from i2v.jobs.model import (
    MAX_HISTORY,
    Claim,
    Ending,
    FinalStatus,
    Job,
    JobLost,
    JsonObject,
    PastAttempt,
    Progress,
    Submission,
    key_of,
)
from i2v.jobs.outbox import record
from i2v.jobs.rows import dump, job_of

# What the counter will be after this transaction; `counted` moves it on in each that changes something.
NEXT = "(SELECT revision + 1 FROM counter)"
SELECT = """SELECT *, CASE status WHEN 'queued' THEN
        (SELECT count(*) FROM jobs WHERE status = 'running') + (
            SELECT count(*) FROM jobs AS earlier
            WHERE earlier.status = 'queued' AND earlier.place < jobs.place
        ) END AS queue_position
    FROM jobs"""
# Which jobs a worker on `:device` may take (NULL: all): those that want it; and those that want none, or one
# that is not there, if they fit there, or else nowhere. What is free is known where a worker has looked. In a
# cluster, a job goes where its engine's weights are, unless they are on no device that it fits: that is
# known once all have been looked at. One that enhances a clip needs no engine; one that extends it does.
_ENGINE = "iif(json_valid(generation), json_extract(generation, '$.engine'), NULL)"
_IS_ENHANCEMENT = """iif(json_valid(generation), ifnull(json_extract(generation, '$.source'), '') != ''
    AND ifnull(json_extract(generation, '$.extends'), 0) = 0, 0)"""  # `Generation.is_enhanced`
CLAIMABLE = f"""status = 'queued' AND NOT (SELECT paused FROM queue) AND (:device IS NULL
    OR wanted_device = :device
    OR (wanted_device IS NULL OR wanted_device NOT IN (SELECT id FROM devices)) AND (needed_bytes IS NULL
        OR needed_bytes <= (SELECT free_bytes FROM devices WHERE id = :device)
        OR ifnull((SELECT free_bytes FROM devices WHERE id = :device)
            >= (SELECT max(free_bytes) FROM devices), 1))
        AND ((SELECT count(*) FROM device_models) = 0 OR {_IS_ENHANCEMENT}
            OR EXISTS (SELECT 1 FROM device_models WHERE device = :device AND engine = {_ENGINE})
            OR NOT EXISTS (SELECT 1 FROM device_models AS there JOIN devices ON devices.id = there.device
                WHERE there.engine IN ({_ENGINE}, '{UNKNOWN}')
                AND (needed_bytes IS NULL OR ifnull(needed_bytes <= devices.free_bytes, 1)))))"""
_HELD = "id = :id AND status = 'running' AND owner = :owner AND attempt = :attempt"


@contextmanager
def counted(database: Database, durable: bool = True) -> Iterator[sqlite3.Connection]:
    """Lend a connection as `Database.write` does, and move the counter on if something was changed."""
    with database.write(durable) as db:
        before = db.total_changes
        yield db
        if db.total_changes != before:
            db.execute("UPDATE counter SET revision = revision + 1")


def get_job(db: sqlite3.Connection, job_id: str, deleted: bool = False) -> Job:
    """Return the job; raise `InvalidRequest` (`job.unknown`).

    deleted: also where it is in the trash.
    """
    # Ids come from clients, and SQLite takes no lone surrogates; ours are ASCII.
    row = db.execute(f"{SELECT} WHERE id = ?", [job_id]).fetchone() if job_id.isascii() else None
    if row is None or (row["deleted_at"] is not None and not deleted):
        raise InvalidRequest("job.unknown", id=shown(job_id))
    return job_of(row)


def get_after(db: sqlite3.Connection, job_id: str | None, limit: int, oldest_first: bool) -> list[Job]:
    """See `JobStore.after`."""
    if job_id is not None:
        get_job(db, job_id)
    sign, order = (">", "ASC") if oldest_first else ("<", "DESC")
    place = f"AND seq {sign} (SELECT seq FROM jobs WHERE id = :id)" if job_id is not None else ""
    values = {"id": job_id, "limit": limit}
    rows = db.execute(f"{SELECT} WHERE deleted_at IS NULL {place} ORDER BY seq {order} LIMIT :limit", values)
    return [job_of(row) for row in rows.fetchall()]


def get_unfinished(db: sqlite3.Connection) -> list[Job]:
    """See `JobStore.unfinished`. Counts the places in one go, as `SELECT` would for each job by itself."""
    rows = db.execute(
        """SELECT *, iif(status = 'queued', row_number() OVER (ORDER BY status = 'queued', place) - 1, NULL)
               AS queue_position
           FROM jobs WHERE status IN ('running', 'queued') ORDER BY status = 'queued', place"""
    )
    return [job_of(row) for row in rows.fetchall()]


def get_running(db: sqlite3.Connection, owner: str | None = None) -> list[Job]:
    """Return the running jobs in the order of their submission; `owner`: his alone."""
    rows = db.execute(
        f"{SELECT} WHERE status = 'running' AND (:owner IS NULL OR owner = :owner) ORDER BY seq",
        {"owner": owner},
    )
    return [job_of(row) for row in rows.fetchall()]


def held_job(db: sqlite3.Connection, claim: Claim) -> Job:
    """Return the job that the claim still holds; raise `JobLost`."""
    row = db.execute(f"{SELECT} WHERE {_HELD}", _key(claim)).fetchone()
    if row is None:
        raise JobLost(claim.job.id)
    return job_of(row)


def insert_job(db: sqlite3.Connection, new: Submission, now: float) -> None:
    """Put a new job at the end of the queue, and into its batch; raise `InvalidRequest` (`batch.unknown`)."""
    if new.place is not None:
        join(db, new.id, new.place)
    values = vars(new) | {
        "idempotency_key": key_of(new.user, new.idempotency_key),
        "batch": None if new.place is None else new.place.batch,
        "request": dump(new.request),
        "generation": dump(asdict(new.generation)),
        "plan": None if new.plan is None else dump(asdict(new.plan)),
        "notices": dump([notice.to_dict() for notice in new.notices]),
        "other_inputs": dump(new.other_inputs),
        "now": now,
    }
    db.execute(
        f"""INSERT INTO jobs (seq, place, revision, id, idempotency_key, fingerprint, request, generation,
                plan, notices, input, other_inputs, output, webhook, request_id, created_at, batch, user,
                wanted_device, needed_bytes, picture_name)
            VALUES ({NEXT}, {NEXT}, {NEXT}, :id, :idempotency_key, :fingerprint, :request, :generation,
                :plan, :notices, :input, :other_inputs, :output, :webhook, :request_id, :now, :batch, :user,
                :wanted_device, :needed_bytes, :picture_name)""",
        values,
    )
    record(db, new.id, "submitted", now)


def claim_job(db: sqlite3.Connection, owner: str, now: float, device: str | None) -> Job | None:
    """Give the first job of the queue that `device` may take to `owner`, unless the queue is paused."""
    rows = db.execute(
        f"""UPDATE jobs SET status = 'running', owner = :owner, attempt = attempt + 1,
                phase = 'loading', started_at = max(:now, created_at), device = :device,
                revision = {NEXT}
            WHERE seq = (SELECT seq FROM jobs WHERE {CLAIMABLE} ORDER BY place LIMIT 1)
            RETURNING *, NULL AS queue_position""",
        {"owner": owner, "now": now, "device": device},
    ).fetchall()
    if not rows:
        return None
    record(db, rows[0]["id"], "started", rows[0]["started_at"])
    return job_of(rows[0])


def report_progress(
    db: sqlite3.Connection,
    claim: Claim,
    progress: Progress | None,
    notices: Sequence[Notice] | None = None,
) -> bool:
    """Write progress and notices, if any; return whether to cancel."""
    values = _key(claim)
    changes = []
    if progress is not None:
        values |= asdict(progress)
        changes += [
            "phase = :phase, progress = :fraction, step = :step, total = :total, eta_seconds = :eta_seconds",
            f"preview_revision = iif(:preview IS NULL, preview_revision, {NEXT})",
        ]
    if notices is not None:
        values["notices"] = dump([notice.to_dict() for notice in notices])
        changes.append("notices = :notices")
    statement = f"SELECT cancel_requested FROM jobs WHERE {_HELD}"
    if changes:
        changed = ", ".join([*changes, f"revision = {NEXT}"])
        statement = f"UPDATE jobs SET {changed} WHERE {_HELD} RETURNING cancel_requested"
    rows = db.execute(statement, values).fetchall()
    if not rows:
        raise JobLost(claim.job.id)
    if progress is not None and progress.preview is not None:
        db.execute("INSERT OR REPLACE INTO previews VALUES (:id, :preview)", values)
    return bool(rows[0]["cancel_requested"])


def finish_job(
    db: sqlite3.Connection,
    job: Job,
    status: FinalStatus,
    now: float,
    ending: Ending | None = None,
    result: Result | None = None,
    error: JsonObject | None = None,
) -> None:
    """Finish the job as `status`; `ending` is the attempt's, where it is not the same."""
    ended_at = max(now, job.started_at or job.created_at)
    db.execute(
        f"""UPDATE jobs SET status = :status, owner = NULL, cancel_requested = 0,
                progress = iif(:status = 'succeeded', 1, progress), eta_seconds = NULL,
                preview_revision = NULL, result = :result, error = :error, history = :history,
                finished_at = :ended_at, revision = {NEXT}
            WHERE id = :id""",
        {
            "id": job.id,
            "status": status,
            "result": None if result is None else dump(result.to_dict()),
            "error": None if error is None else dump(error),
            "history": _history(db, job, ending or status, error, ended_at),
            "ended_at": ended_at,
        },
    )
    db.execute("DELETE FROM previews WHERE id = ?", [job.id])
    record(db, job.id, status, ended_at, _details(job, ended_at, result, error))
    if job.batch is not None:
        note_end(db, job.batch, ended_at)


def requeue_job(db: sqlite3.Connection, job: Job, now: float, ending: Ending | None = None) -> None:
    """Put the job back to its place in the queue; `ending` is the attempt's, if it was running."""
    ended_at = max(now, job.started_at or job.created_at)
    db.execute(
        f"""UPDATE jobs SET status = 'queued', owner = NULL, phase = 'queued',
                progress = 0, step = NULL, total = NULL, eta_seconds = NULL, preview_revision = NULL,
                error = NULL, history = :history, started_at = NULL, finished_at = NULL, revision = {NEXT}
            WHERE id = :id""",
        {"id": job.id, "history": _history(db, job, ending, None, ended_at)},
    )
    db.execute("DELETE FROM previews WHERE id = ?", [job.id])
    record(db, job.id, "requeued", now, {"reason": ending or "retried"})


def delete_job(db: sqlite3.Connection, job: Job, now: float) -> None:
    """Forget the job."""
    record(db, job.id, "deleted", now)
    db.execute("DELETE FROM jobs WHERE id = ?", [job.id])


def _details(job: Job, ended_at: float, result: Result | None, error: JsonObject | None) -> JsonObject:
    """Return what the outbox tells of a job that ends: codes and numbers, and nothing that was asked for."""
    notices = job.notices if result is None else result.notices
    details: JsonObject = {"notices": [notice.code for notice in notices]}
    if job.started_at is not None:
        details["duration"] = ended_at - job.started_at
    if error is not None:
        details["error"] = error
    if result is not None:
        peaks = [stage.bytes for stage in result.stages if stage.bytes is not None]
        details |= {"seconds": result.seconds, "peak_bytes": max(peaks, default=None)}
    return details


def _key(claim: Claim) -> dict[str, object]:
    """Return the parameters of `_HELD`."""
    return {"id": claim.job.id, "owner": claim.owner, "attempt": claim.job.attempt}


def _history(
    db: sqlite3.Connection, job: Job, ending: Ending | None, error: JsonObject | None, ended_at: float
) -> str:
    """Return the job's history as JSON, with the attempt that ends now, if it is running."""
    attempts: list[object] = []
    with suppress(ValueError):  # another version's words stay as they are; what is no JSON is lost
        stored = parse_json(db.execute("SELECT history FROM jobs WHERE id = ?", [job.id]).fetchone()[0])
        attempts = stored if isinstance(stored, list) else []
    if job.status == "running" and job.started_at is not None and ending is not None:
        attempts.append(asdict(PastAttempt(job.attempt, ending, job.started_at, ended_at, error)))
    return dump(attempts[-MAX_HISTORY:])
