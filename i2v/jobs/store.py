"""The job table: what was accepted is kept, whoever dies.

Owns the queue, who holds which job, and what is told about each. `model` has the table of what may happen;
every method here is one transaction of it. Deliberately does not know models, files (it keeps their names) or
processes.

No running job is forgotten. Whoever starts workers sees them end, and says so by `recover`, or by `release`
where one ended in order. A job can also be left behind by a worker that lives: its claim was committed, but
the worker never heard of it, or the database was away when the job ended. So `recover_orphans` is told from
time to time which jobs the living workers are at, and puts back what none has been at for a while. That while
is by the caller's own monotonic clock, from when it first saw the job so: no other process's clock counts,
and setting the machine's changes nothing. When the service starts, no worker lives, and `recover_interrupted`
puts back all.

Order is by a counter that every change moves on, never by a clock. Commits wait for the disk, except those of
`heartbeat`: a power cut ends the attempt that they tell of, so they may go with it, and waiting would cost
milliseconds at each step (`benchmarks/jobs.py`). Previews have a table of their own, which `page` does not
read.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import get_args

from i2v.core.errors import I2VError, InvalidRequest, Notice, QueueFull
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.core.users import NO_QUOTA, Quota
from i2v.jobs.batches import BatchStore, join
from i2v.jobs.database import Database
from i2v.jobs.deliveries import Deliveries
from i2v.jobs.devices import Devices
from i2v.jobs.imported import FINGERPRINT, Imports
from i2v.jobs.library import Library, get_page
from i2v.jobs.migrations import MIGRATIONS
from i2v.jobs.model import (
    ALL,
    MAX_DEATHS,
    MAX_INTERRUPTIONS,
    Claim,
    Ending,
    Filters,
    Job,
    JobLost,
    JobPage,
    JobStatus,
    JsonObject,
    OutputTaken,
    OwnedFiles,
    Progress,
    StatusFilter,
    Submission,
    key_of,
)
from i2v.jobs.outbox import DAY, Outbox, count_submitted
from i2v.jobs.queue import Queue
from i2v.jobs.rows import files_of, run_of
from i2v.jobs.table import (
    NEXT,
    claim_job,
    counted,
    delete_job,
    finish_job,
    get_after,
    get_job,
    get_running,
    get_unfinished,
    held_job,
    insert_job,
    report_progress,
    requeue_job,
)

_INPUTS = """SELECT input AS name FROM jobs UNION ALL
    SELECT value FROM jobs, json_each(iif(json_valid(other_inputs), other_inputs, '[]'))"""


class JobStore:
    """The store in one SQLite file; threads share an object, and each process opens its own.

    Every method may raise `I2VError` (`database.*`) if the file cannot be used.

    Attributes:
        library: stars and the trash.
        queue: whether it is paused, and its order.
        devices: those that jobs can be run on.
        batches: many jobs that were asked for together.
        imports: jobs that come from other installations.
        outbox: what has happened to jobs, in its order.
        deliveries: messages about it, to whoever wants them.
    """

    def __init__(
        self,
        path: Path,
        max_queued: int = 100,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        create: bool = True,
    ) -> None:
        """Open the store at `path`.

        Args:
            max_queued: `submit` and `retry` refuse to go beyond.
            clock: seconds since 1970. monotonic: seconds, of this process alone.
            create: make it if it is not there, and upgrade one of an older version, which only the service
                should: to all others, a store that is gone, or older, is an error.
        """
        self._database = Database(path, MIGRATIONS, create)
        self._max_queued = max_queued
        self._clock = clock
        self.batches = BatchStore(self._database.read, self._write, clock)
        self._monotonic = monotonic
        self.library = Library(self._database, clock)
        self.queue = Queue(self._database)
        self.devices = Devices(self._database)
        self.imports = Imports(self._database)
        self.outbox = Outbox(self._database)
        self.deliveries = Deliveries(self._database, clock)
        self._orphaned_at: dict[tuple[str, int], float] = {}  # by job and attempt, in monotonic seconds

    def close(self) -> None:
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """See `Database.copy_to`."""
        self._database.copy_to(path)

    def check(self) -> None:
        """Raise `I2VError` (`database.*`) if no job could be kept now."""
        self._database.check()

    # --- what a person does

    def submit(self, new: Submission) -> Job:
        """Put a job at the end of the queue; when this returns, it is on the disk.

        If the key is an earlier submission's, that job is returned, as `job.id != new.id` tells; it joins the
        batch that is asked for now.

        Raises:
            InvalidRequest: `job.idempotency_conflict`: the earlier one asked for something else.
            QueueFull: `job.queue_full`, `security.too_many_waiting`, `security.too_many_today`.
            OutputTaken: another job owns the output.
        """
        with self._write() as db:
            earlier = db.execute(
                "SELECT id, fingerprint, batch FROM jobs WHERE idempotency_key = ?",
                [key_of(new.user, new.idempotency_key)],
            ).fetchone()
            if earlier is not None:
                if earlier["fingerprint"] != new.fingerprint:
                    raise InvalidRequest("job.idempotency_conflict", key=shown(new.idempotency_key))
                if new.place is not None and new.place.batch != earlier["batch"]:
                    join(db, earlier["id"], new.place)
                    change = f"UPDATE jobs SET batch = ?, revision = {NEXT} WHERE id = ?"
                    db.execute(change, [new.place.batch, earlier["id"]])
                return get_job(db, earlier["id"])
            self._check_all(db, new.user, new.quota)
            if db.execute("SELECT 1 FROM jobs WHERE output = ? COLLATE NOCASE", [new.output]).fetchone():
                raise OutputTaken(new.output)
            insert_job(db, new, self._clock())
            return get_job(db, new.id)

    def check_room(self, user: str | None = None, quota: Quota = NO_QUOTA) -> None:
        """Raise `QueueFull` as `submit` would now: so that no picture is decoded in vain."""
        with self._database.read() as db:
            self._check_all(db, user, quota)

    def get(self, job_id: str) -> Job:
        """Return the job; raise `InvalidRequest` (`job.unknown`), as all methods that take an id do."""
        with self._database.read() as db:
            return get_job(db, job_id)

    def by_key(self, idempotency_key: str, user: str | None = None) -> Job | None:
        """Return the job that the user submitted with the key, unless it is gone or in the trash."""
        key = key_of(user, idempotency_key)
        with self._database.read() as db:
            row = db.execute("SELECT id FROM jobs WHERE idempotency_key = ?", [key]).fetchone()
            return None if row is None else get_job(db, row["id"])

    def page(
        self,
        status: StatusFilter | None = None,
        cursor: str | None = None,
        limit: int = 50,
        search: str = "",
        filters: Filters = ALL,
    ) -> JobPage:
        """Return up to `limit` (at least 1) jobs, newest first, from where the page with the cursor ended.

        Args:
            search: part of the prompt; a to z match in either case.
            filters: which of them, and in which other order; a cursor is good for the same order alone.
        Raises:
            InvalidRequest: `job.bad_cursor`; `request.invalid` for a `search` that no prompt can hold.
        """
        with self._database.read() as db:
            return get_page(db, status, cursor, limit, search, filters)

    def after(self, job_id: str | None, limit: int, oldest_first: bool = False) -> list[Job]:
        """Return up to `limit` jobs in the order of their submission, from behind the one with this id.

        Raises `InvalidRequest` (`job.unknown`).
        """
        with self._database.read() as db:
            return get_after(db, job_id, limit, oldest_first)

    def unfinished(self) -> list[Job]:
        """Return the running jobs, then all queued ones in their order, as they are at one moment."""
        with self._database.read() as db:
            return get_unfinished(db)

    def running(self, owner: str | None = None) -> list[Job]:
        """Return the running jobs in the order of their submission; `owner`: those that he holds."""
        with self._database.read() as db:
            return get_running(db, owner)

    def counts(self) -> dict[JobStatus, int]:
        """Return how many jobs there are of each status; the trash is not counted."""
        with self._database.read() as db:
            found = dict(
                db.execute(
                    "SELECT status, count(*) FROM jobs WHERE deleted_at IS NULL GROUP BY status"
                ).fetchall()
            )
        return {status: found.get(status, 0) for status in get_args(JobStatus)}

    def revision(self) -> int:
        """Return the counter: while it is the same, no job has changed, queue positions included."""
        with self._database.read() as db:
            return int(db.execute("SELECT revision FROM counter").fetchone()[0])

    def preview(self, job_id: str) -> bytes | None:
        """Return the last preview of a running job as the worker gave it, `None` where there is none."""
        with self._database.read() as db:
            row = db.execute("SELECT picture FROM previews WHERE id = ?", [job_id]).fetchone()
        return None if row is None else bytes(row["picture"])

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once; ask the worker of a running one to stop, at its next heartbeat.

        Raises:
            InvalidRequest: `job.already_finished`.
        """
        with self._write() as db:
            job = get_job(db, job_id)
            if job.status == "queued":
                finish_job(db, job, "cancelled", self._clock())
            elif job.status == "running":
                db.execute(
                    f"""UPDATE jobs SET cancel_requested = 1, revision = {NEXT}
                        WHERE id = ? AND NOT cancel_requested""",
                    [job.id],
                )
            else:
                raise InvalidRequest("job.already_finished", id=job.id, status=job.status)
            return get_job(db, job.id)

    def retry(self, job_id: str, quota: Quota = NO_QUOTA) -> Job:
        """Put a failed or cancelled job at the end of the queue, its deaths and interruptions forgotten.

        quota: what its user may have.

        Raises:
            InvalidRequest: `job.not_retryable`.
            QueueFull: `job.queue_full`, `security.too_many_waiting`.
        """
        with self._write() as db:
            job = get_job(db, job_id)
            if job.status not in ("failed", "cancelled"):
                raise InvalidRequest("job.not_retryable", id=job.id, status=job.status)
            self._check_room(db)
            self._check_quota(db, job.user, quota)
            db.execute(
                f"UPDATE jobs SET place = {NEXT}, deaths = 0, interruptions = 0 WHERE id = ?", [job.id]
            )
            requeue_job(db, job, self._clock())
            return get_job(db, job.id)

    def delete(self, job_id: str) -> Job:
        """Forget a finished job, in the trash or not, and return it, so that the caller can remove its files.

        Raises:
            InvalidRequest: `job.not_finished`.
        """
        with self._write() as db:
            job = get_job(db, job_id, deleted=True)
            if job.status in ("queued", "running"):
                raise InvalidRequest("job.not_finished", id=job.id, status=job.status)
            delete_job(db, job, self._clock())
            return job

    # --- what a worker does

    def claim(self, owner: str, device: str | None = None) -> Claim | None:
        """Give the first job of the queue that `device` may take to `owner`, and to nobody else.

        `None` if there is none, or the queue is paused. `device` may take jobs that ask for it; and those
        that ask for none, or for one that is not there, if they fit what is free on it, or on none of the
        `devices`. Without one, all may be taken.

        `owner` names a process, and never another one after it. Jobs that cannot be read fail here.
        """
        with self._write() as db:
            while job := claim_job(db, owner, self._clock(), device):
                if job.generation is not None:
                    return Claim(job, owner)
                error = next(notice for notice in job.notices if notice.code == "job.unreadable").to_dict()
                finish_job(db, job, "failed", self._clock(), error=error)
            return None

    def heartbeat(
        self,
        claim: Claim,
        progress: Progress | None = None,
        notices: Sequence[Notice] | None = None,
    ) -> bool:
        """Tell the progress, if any, and return whether the job should be cancelled.

        notices: all that the job has from now on; `None` leaves them.

        Raises:
            JobLost: as do all methods that take a claim.
        """
        if progress is None and notices is None:  # of many workers, once a second each: no writer waits
            with self._database.read() as db:
                return report_progress(db, claim, None)
        with self._write(durable=False) as db:
            return report_progress(db, claim, progress, notices)

    def finish(self, claim: Claim, result: Result) -> Job:
        """The output is published: the job has succeeded."""
        with self._write() as db:
            finish_job(db, held_job(db, claim), "succeeded", self._clock(), result=result)
            return get_job(db, claim.job.id)

    def fail(self, claim: Claim, error: JsonObject) -> Job:
        """The job itself cannot be done, and trying again would not help."""
        with self._write() as db:
            finish_job(db, held_job(db, claim), "failed", self._clock(), error=error)
            return get_job(db, claim.job.id)

    def confirm_cancel(self, claim: Claim) -> Job:
        """The worker has stopped, as `heartbeat` told it to."""
        with self._write() as db:
            job = held_job(db, claim)
            if not job.cancel_requested:
                raise JobLost(job.id)
            finish_job(db, job, "cancelled", self._clock())
            return get_job(db, job.id)

    def release(self, claim: Claim) -> Job:
        """The worker has stopped because the service ends: another one goes on."""
        with self._write() as db:
            return self._put_back(db, held_job(db, claim), "released")

    # --- what the service does when somebody has died

    def recover(self, owner: str) -> list[Job]:
        """Put back a dead owner's running jobs; return them: they are queued, failed or cancelled now."""
        with self._write() as db:
            return [self._put_back(db, job, "died") for job in get_running(db, owner)]

    def recover_orphans(self, held: Collection[str], seconds: float) -> list[Job]:
        """Do the same with running jobs that were missing in `held` in all calls of the last `seconds`.

        held: the ids of the jobs that living workers are at now, those of all workers.
        """
        now = self._monotonic()
        with self._write() as db:
            orphans = {(job.id, job.attempt): job for job in get_running(db) if job.id not in held}
            self._orphaned_at = {key: self._orphaned_at.get(key, now) for key in orphans}
            lost = [job for key, job in orphans.items() if now - self._orphaned_at[key] >= seconds]
            return [self._put_back(db, job, "died") for job in lost]

    def recover_interrupted(self) -> list[Job]:
        """Do the same with all running jobs: to be called when the service starts, before any worker."""
        with self._write() as db:
            return [self._put_back(db, job, "interrupted") for job in get_running(db)]

    # --- what the service asks

    def inputs(self) -> set[str]:
        """Return the names of all jobs' pictures: when the service starts, any other file is an orphan."""
        with self._database.read() as db:
            return {row["name"] for row in db.execute(_INPUTS)}

    def has_input(self, name: str) -> bool:
        """Tell whether any job has the picture of this name."""
        with self._database.read() as db:
            return (
                db.execute(f"SELECT 1 FROM ({_INPUTS}) WHERE name = ? LIMIT 1", [name]).fetchone() is not None
            )

    def owned(self) -> list[OwnedFiles]:
        """Return all jobs with the files that they own: those that ended first, then all that have not.

        What is in the trash is among them.
        """
        with self._database.read() as db:
            rows = db.execute(
                """SELECT id, input, other_inputs, output, finished_at, starred, deleted_at FROM jobs
                   ORDER BY finished_at IS NULL, finished_at, seq"""
            )
            return [files_of(row) for row in rows.fetchall()]

    def recent_runs(self, limit: int = 100) -> list[tuple[Generation, Result]]:
        """Return what the last jobs to succeed here were and took, newest first, to estimate others by."""
        with self._database.read() as db:
            rows = db.execute(
                """SELECT id, generation, result FROM jobs WHERE status = 'succeeded' AND fingerprint != ?
                   ORDER BY seq DESC LIMIT ?""",
                [FINGERPRINT, limit],
            ).fetchall()
        return [run for row in rows if (run := run_of(row)) is not None]

    # --- how

    def _write(self, durable: bool = True) -> AbstractContextManager[sqlite3.Connection]:
        return counted(self._database, durable)

    def _check_all(self, db: sqlite3.Connection, user: str | None, quota: Quota) -> None:
        self._check_room(db)
        self._check_quota(db, user, quota)
        self._check_day(db, user, quota)

    def _check_room(self, db: sqlite3.Connection) -> None:
        queued = db.execute("SELECT count(*) FROM jobs WHERE status = 'queued'").fetchone()[0]
        if queued >= self._max_queued:
            raise QueueFull("job.queue_full", queued=queued, allowed=self._max_queued)

    def _check_quota(self, db: sqlite3.Connection, user: str | None, quota: Quota) -> None:
        if user is None or not quota.max_queued:
            return
        found = db.execute("SELECT count(*) FROM jobs WHERE user = ? AND status = 'queued'", [user])
        queued = found.fetchone()[0]
        if queued >= quota.max_queued:
            raise QueueFull("security.too_many_waiting", user=user, queued=queued, allowed=quota.max_queued)

    def _check_day(self, db: sqlite3.Connection, user: str | None, quota: Quota) -> None:
        if user is None or not quota.max_per_day:
            return
        now = self._clock()
        count, first = count_submitted(db, user, now - DAY)
        if count >= quota.max_per_day:
            seconds = max(1, math.ceil(first + DAY - now))
            raise QueueFull(
                "security.too_many_today", user=user, count=count, allowed=quota.max_per_day, seconds=seconds
            )

    def _put_back(self, db: sqlite3.Connection, job: Job, ending: Ending) -> Job:
        """End the attempt without a result; what comes of the job is as the table in `model` has it."""
        deaths = job.deaths + (ending == "died")
        interruptions = job.interruptions + (ending == "interrupted")
        db.execute(
            "UPDATE jobs SET deaths = ?, interruptions = ? WHERE id = ?", [deaths, interruptions, job.id]
        )
        now = self._clock()
        if job.cancel_requested:
            finish_job(db, job, "cancelled", now, ending)
        elif deaths >= MAX_DEATHS:
            error = I2VError("job.worker_died", deaths=deaths).to_dict()
            finish_job(db, job, "failed", now, ending, error=error)
        elif interruptions > MAX_INTERRUPTIONS:
            error = I2VError("job.interrupted_too_often", interruptions=interruptions).to_dict()
            finish_job(db, job, "failed", now, ending, error=error)
        else:
            requeue_job(db, job, now, ending)
        return get_job(db, job.id)
