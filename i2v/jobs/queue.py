"""The queue as a whole: whether it is paused, and in which order jobs wait in it.

Owns those statements. Who takes jobs out of it, and when, is `store`'s.
"""

from __future__ import annotations

from i2v.core.errors import InvalidRequest
from i2v.jobs.database import Database
from i2v.jobs.model import Job
from i2v.jobs.table import CLAIMABLE, counted, get_job


class Queue:
    """The part of a `JobStore` that concerns the queue as a whole; threads share it.

    Every method may raise `I2VError` (`database.*`) if the file cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_paused(self) -> bool:
        with self._database.read() as db:
            return bool(db.execute("SELECT paused FROM queue").fetchone()[0])

    def pause(self, paused: bool) -> None:
        """Let no job be claimed from now on, or let jobs be claimed again; kept over restarts."""
        with counted(self._database) as db:
            db.execute("UPDATE queue SET paused = :paused WHERE paused != :paused", {"paused": paused})

    def has_work(self) -> bool:
        """Tell whether a job could be claimed now."""
        return bool(self.claimable(None, 1))

    def claimable(self, device: str | None, limit: int) -> list[str]:
        """Return the ids of the first jobs that `JobStore.claim` could give to `device` now."""
        with self._database.read() as db:
            found = db.execute(
                f"SELECT id FROM jobs WHERE {CLAIMABLE} ORDER BY place LIMIT :limit",
                {"device": device, "limit": limit},
            )
            return [row["id"] for row in found]

    def wanted_devices(self) -> frozenset[str]:
        """Return the devices that queued jobs ask for."""
        with self._database.read() as db:
            found = db.execute(
                """SELECT DISTINCT wanted_device FROM jobs
                   WHERE status = 'queued' AND wanted_device IS NOT NULL"""
            )
            return frozenset(row["wanted_device"] for row in found)

    def move(self, job_id: str, position: int) -> Job:
        """Let a queued job wait at another place; the others keep their order.

        position: how many jobs are to run before it, as `Job.queue_position` counts them. No queued job comes
            before a running one, and none is further back than the last: the nearest place is taken.
        Raises:
            InvalidRequest: `job.unknown`; `job.not_queued`.
        """
        with counted(self._database) as db:
            job = get_job(db, job_id)
            if job.status != "queued":
                raise InvalidRequest("job.not_queued", id=job.id, status=job.status)
            rows = db.execute("SELECT seq, place, id FROM jobs WHERE status = 'queued' ORDER BY place, seq")
            queued = [(row["seq"], row["place"], row["id"]) for row in rows]
            running = db.execute("SELECT count(*) FROM jobs WHERE status = 'running'").fetchone()[0]
            order = [each for each in queued if each[2] != job.id]
            moved = next(each for each in queued if each[2] == job.id)
            order.insert(max(0, position - running), moved)
            places = [place for _, place, _ in queued]
            changes = [(new, seq) for (seq, old, _), new in zip(order, places, strict=True) if old != new]
            db.executemany("UPDATE jobs SET place = ? WHERE seq = ?", changes)
            return get_job(db, job.id)
