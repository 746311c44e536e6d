"""How long ended jobs are kept: by age, by number, by what all jobs' files take, and in the trash.

Owns which jobs go, oldest end first, and the thread that looks. How one is deleted is handed in; files that
no job owns are never looked at. A job with a star goes by no limit. Unless `storage.keep_days`, `keep_jobs`
or `keep_gigabytes` is set, only what is in the trash goes, after `storage.trash_days`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.settings import StorageSettings
from i2v.jobs.model import OwnedFiles

PERIOD_SECONDS = 300.0
DAY = 86400
GIGABYTE = 10**9

log = logging.getLogger(__name__)


class Retention:
    """`start` it once; `stop` returns when nothing is being deleted any more."""

    def __init__(
        self,
        settings: StorageSettings,
        owned: Callable[[], Sequence[OwnedFiles]],
        own_bytes: Callable[[OwnedFiles], int],
        input_bytes: Callable[[str], int],
        delete: Callable[[str], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        owned: gives all jobs with their files, those that ended first at the beginning.
        own_bytes: how much a job's other files take, which no other job has.
        input_bytes: how much a job's picture takes, by its name. Several jobs may share one.
        delete: deletes an ended job by its id; raises `I2VError` where it cannot.
        clock: seconds since 1970.
        """
        self._settings = settings
        self._owned = owned
        self._own_bytes = own_bytes
        self._input_bytes = input_bytes
        self._delete = delete
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.sweep()
            except I2VError as error:  # the database is away
                log.warning("retention: not now: %s", error)
            except Exception:  # a defect in one round must not end all later ones unnoticed
                log.exception("retention: this round was given up; the next one is in %d s", PERIOD_SECONDS)
            self._stopping.wait(PERIOD_SECONDS)

    def sweep(self) -> None:
        """Delete the jobs that are too old, then those too many, then the oldest until the rest is small."""
        jobs = self._owned()
        for step in (self._delete_trashed, self._delete_old, self._delete_too_many):
            gone = step(jobs)
            jobs = [job for job in jobs if job.id not in gone]
        if self._settings.keep_gigabytes:
            self._delete_beyond(jobs)

    def _delete_trashed(self, jobs: Sequence[OwnedFiles]) -> set[str]:
        days = self._settings.trash_days
        end = self._clock() - days * DAY
        old = [job for job in jobs if job.deleted_at is not None and job.deleted_at <= end]
        return {job.id for job in old if self._purge(job, f"it was in the trash for {days:g} days")}

    def _delete_old(self, jobs: Sequence[OwnedFiles]) -> set[str]:
        days = self._settings.keep_days
        if not days:
            return set()
        end = self._clock() - days * DAY
        old = [job for job in _ended(jobs) if job.finished_at is not None and job.finished_at < end]
        return {job.id for job in old if self._purge(job, f"it ended more than {days:g} days ago")}

    def _delete_too_many(self, jobs: Sequence[OwnedFiles]) -> set[str]:
        """Those with a star count, so that the number is what a person counts in the list."""
        allowed = self._settings.keep_jobs
        if not allowed:
            return set()
        count = sum(job.finished_at is not None and job.deleted_at is None for job in jobs)
        gone: set[str] = set()
        for job in _ended(jobs):
            if count - len(gone) <= allowed:
                break
            if job.deleted_at is None and self._purge(job, f"there are more than {allowed} finished jobs"):
                gone.add(job.id)
        return gone

    def _delete_beyond(self, jobs: Sequence[OwnedFiles]) -> None:
        allowed = self._settings.keep_gigabytes * GIGABYTE
        own = {job.id: self._own_bytes(job) for job in jobs}
        users = Counter(name for job in jobs for name in set(job.inputs))
        pictures = {name: self._input_bytes(name) for name in users}
        total = sum(own.values()) + sum(pictures.values())
        for job in sorted(_ended(jobs), key=lambda job: job.deleted_at is None):  # the trash first
            if total <= allowed:
                return
            reason = f"all jobs' files take {total / GIGABYTE:.3g} of {self._settings.keep_gigabytes:g} GB"
            if not self._purge(job, reason):
                continue
            users.subtract(set(job.inputs))
            total -= own[job.id] + sum(pictures[name] for name in set(job.inputs) if not users[name])

    def _purge(self, job: OwnedFiles, reason: str) -> bool:
        """Delete the job unless the service ends; return whether it is gone."""
        if self._stopping.is_set():
            return False
        if not Path(job.output).parent.is_dir():  # its disk is away, and would bring the video back
            return False
        try:
            self._delete(job.id)
        except (I2VError, OSError) as error:  # deleted or retried meanwhile, or its folder is read-only
            log.warning("retention: job %s stays for now: %s", job.id, error)
            return False
        log.info("retention: job %s was deleted: %s", job.id, reason)
        return True


def _ended(jobs: Sequence[OwnedFiles]) -> list[OwnedFiles]:
    """Return the ended jobs that may be deleted: all in the trash, and of the others those without a star."""
    return [
        job for job in jobs if job.finished_at is not None and (job.deleted_at is not None or not job.starred)
    ]
