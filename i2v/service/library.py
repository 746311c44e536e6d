"""What is done with ended jobs: stars and tags, the trash and the way out of it, deleting them.

Owns in which order a job and its files go, so that nothing is lost sight of wherever it is cut off: as long
as there is a video, there is a job that can be deleted; a picture without a job is swept at the next start.
Deliberately does not know when jobs are deleted by themselves (`retention`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from i2v.core.errors import InvalidRequest
from i2v.core.settings import Settings
from i2v.host.embedding_cache import EmbeddingCache
from i2v.jobs.library import tag_of
from i2v.jobs.model import Filters, Job, StatusFilter
from i2v.jobs.store import JobStore
from i2v.media.unpublished import remove_kept
from i2v.service.inputs import Inputs
from i2v.service.job_files import Removal, remove_video, restore_video, trash_video
from i2v.service.rights import check_owner, check_role, restricted_to
from i2v.workers.cleanup import clean_up

DELETED_AT_ONCE = 200  # jobs that are read at a time
DAY = 86400

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deleted:
    """A job that was deleted, and what became of its video; "none": there was none to have.

    kept_until: when it is gone for good, in seconds since 1970; `None`: it is gone.
    """

    job: Job
    video: Removal | Literal["none"]
    kept_until: float | None = None


class Library:
    """The ended jobs of one service; threads share it.

    All methods that take an id raise `InvalidRequest` (`job.unknown`), also for a job in the trash unless
    they say otherwise. What changes a job raises `security.*` where whoever asks may not.
    """

    def __init__(self, settings: Settings, store: JobStore, inputs: Inputs) -> None:
        self._settings = settings
        self._store = store
        self._inputs = inputs

    def star(self, job_id: str, starred: bool) -> Job:
        """Give a job a star, or take it away: one with a star is never deleted by itself."""
        check_owner(self._store.get(job_id).user)
        return self._store.library.star(job_id, starred)

    def tag(self, job_id: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Job:
        """Give a job tags, and take others away; raises as `jobs.library.Library.tag` does."""
        check_owner(self._store.get(job_id).user)
        return self._store.library.tag(job_id, add, remove)

    def tag_each(self, job_ids: Iterable[str], tag: str, is_removed: bool = False) -> int:
        """Give several jobs a tag, or take it away; return how many: not those that have gone or are others'.

        Raises `InvalidRequest` (`request.invalid`).
        """
        tags, count = [tag_of(tag)], 0
        for job_id in job_ids:
            try:
                self.tag(job_id, remove=tags) if is_removed else self.tag(job_id, add=tags)
            except InvalidRequest as error:
                if error.code not in ("job.unknown", "security.not_owner"):
                    raise
            else:
                count += 1
        return count

    def tags(self) -> dict[str, int]:
        """Return the tags that there are, and how many jobs have each."""
        return self._store.library.tags()

    def trash(self, job_id: str) -> Deleted:
        """Put an ended job into the trash for `storage.trash_days`; where that is 0, delete it.

        Raises as `delete` does.
        """
        days = self._settings.storage.trash_days
        if not days:
            return self.delete(self._store.get(job_id).id)
        check_owner(self._store.get(job_id).user)
        job = self._store.library.trash(job_id)
        try:
            video = trash_video(job) if job.status == "succeeded" else "none"
        except BaseException:  # nothing was done to the video
            self._store.library.restore(job.id)
            raise
        log.info("job %s: put into the trash for %g days (video: %s)", job.id, days, video)
        assert job.deleted_at is not None
        return Deleted(job, video, job.deleted_at + days * DAY)

    def trash_each(self, job_ids: Iterable[str]) -> list[Deleted]:
        """Put several jobs into the trash, but for those that have gone, have not ended or are others'."""
        done = []
        for job_id in job_ids:
            with suppress(InvalidRequest):
                done.append(self.trash(job_id))
        return done

    def trash_unsuccessful(self) -> list[Deleted]:
        """Put all jobs that failed or were cancelled into the trash; of a user who makes, the own ones."""
        check_role("make")
        own = Filters(user=restricted_to() or "")
        done: list[Deleted] = []
        statuses: tuple[StatusFilter, ...] = ("failed", "cancelled")
        for status in statuses:
            while jobs := self._store.page(status, limit=DELETED_AT_ONCE, filters=own).jobs:
                done += self.trash_each(job.id for job in jobs)
        return done

    def restore(self, job_id: str) -> Job:
        """Take a job out of the trash, with its video; one that is not there is returned as it is.

        Raises `InvalidRequest` (`job.unknown`, also where its days are over; `job.name_taken`) and `I2VError`
        (`job.not_removed`).
        """
        job = self._store.library.trashed(job_id)
        check_owner(job.user)
        restore_video(job)  # in any case: it may have been hidden after an earlier restoring
        if job.deleted_at is not None:
            log.info("job %s: restored", job.id)
        return self._store.library.restore(job_id)

    def delete(self, job_id: str) -> Deleted:
        """Remove an ended job for good, in the trash or not: its video, then the job, then its picture.

        A file that the job did not make is left alone, whatever its name. What is kept of its prompts'
        embeddings goes too, though other jobs may have the same: it is made again.

        Raises:
            InvalidRequest: `job.not_finished`: cancel it first.
            I2VError: as `remove_video` does; the job is still there, and can be deleted again.
        """
        job = self._store.library.trashed(job_id)
        check_owner(job.user)
        if job.finished_at is None:
            raise InvalidRequest("job.not_finished", id=job.id, status=job.status)
        video = remove_video(job) if job.status == "succeeded" else "none"
        job = self._inputs.release(job.inputs, lambda: self._store.delete(job_id))
        if video == "none":  # after the job has gone: until then, somebody could retry it
            clean_up(job, self._settings.unpublished)
        remove_kept(self._settings.unpublished, job.id)
        self._forget_prompts(job)
        log.info("job %s: deleted (video: %s)", job.id, video)
        return Deleted(job, video)

    def _forget_prompts(self, job: Job) -> None:
        generation = job.generation
        if generation is None:
            return
        try:
            prompts = (generation.prompt, *(scene.prompt for scene in generation.story))
            EmbeddingCache.of(self._settings).forget((*prompts, generation.negative_prompt))
        except OSError as error:  # the job has gone; by age they go too
            log.warning("job %s: embeddings of its prompts stay: %s", job.id, error)
