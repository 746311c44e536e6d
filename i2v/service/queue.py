"""What is done with the jobs that wait or run: pause and go on, another order, all of them cancelled.

Owns what besides the store has to hear of it. Deliberately does not know how jobs are run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from i2v.core.errors import InvalidRequest
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.service.rights import check_role

log = logging.getLogger(__name__)


class Queue:
    """The queue of one service; threads share it. The whole of it is for users who administer."""

    def __init__(self, store: JobStore, wake: Callable[[], None], cancel: Callable[[str], Job]) -> None:
        """Args:
        wake: tells whoever runs jobs that there may be some.
        cancel: cancels a job by its id; raises `InvalidRequest` where it has ended.
        """
        self._store = store
        self._wake = wake
        self._cancel = cancel

    def is_paused(self) -> bool:
        return self._store.queue.is_paused()

    def pause(self) -> None:
        """Begin no further job until `resume`, also after a restart. One that runs is finished."""
        check_role("administer")
        self._store.queue.pause(True)
        log.info("the queue is paused")

    def resume(self) -> None:
        check_role("administer")
        self._store.queue.pause(False)
        log.info("the queue goes on")
        self._wake()

    def move(self, job_id: str, position: int) -> Job:
        """Let a queued job wait at another place; see `jobs.queue.Queue.move`."""
        check_role("administer")
        return self._store.queue.move(job_id, position)

    def move_by(self, job_id: str, places: int) -> Job:
        """Let a queued job wait so many places further back, or further to the front where it is negative."""
        check_role("administer")
        position = self._store.get(job_id).queue_position
        return self._store.queue.move(job_id, (position or 0) + places)

    def cancel_all(self) -> int:
        """Cancel every job that waits or runs, or all own ones of a user who makes; return how many."""
        check_role("make")
        count = 0
        for each in reversed(self._store.unfinished()):  # so that none begins because another one has gone
            with suppress(InvalidRequest):  # it has just finished, or is somebody else's
                self._cancel(each.id)
                count += 1
        return count
