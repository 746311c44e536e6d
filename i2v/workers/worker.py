"""The worker: one device, one loaded engine, one job after another from the store.

Owns which job is next, what becomes of it at its attempt's end, and when the worker itself should end. It
runs in a process of its own (`executors.process`) or in the caller's (`executors.inline`); who ends it in the
middle of a job sees to that job, by the store and `cleanup.clean_up`. It knows neither pages nor people.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, I2VError, InsufficientMemory
from i2v.core.log_context import about_request
from i2v.core.memory_plan import DeviceInfo
from i2v.core.packages import package_error
from i2v.core.settings import Settings
from i2v.jobs.model import Claim, Job, JobLost
from i2v.jobs.store import JobStore
from i2v.media.unpublished import remove_kept
from i2v.workers.attempt import Attempt, with_notice
from i2v.workers.maker import GivenBack, LocalMaker, Maker, WorkerLost

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0  # between two requests to a database that cannot be used
MAX_RETRIES = 60

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beat:
    """Sent often, so that a hang is noticed; `job_id` is `None` between jobs."""

    job_id: str | None


class Worker:
    """Takes jobs as `owner`, and reports by `send` that it is alive."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        engines: Mapping[str, EngineSpec],
        device: DeviceInfo,
        owner: str,
        send: Callable[[Beat], None] = lambda beat: None,
        maker: Maker | None = None,
    ) -> None:
        """`maker`: who makes the clips, where that is not this process."""
        self._settings = settings
        self._store = store
        self._device = device
        self._owner = owner
        self._send = send
        self._maker = maker or LocalMaker(settings, engines, device)
        self.is_fit = True  # another should take over if not

    def run(self) -> None:
        """Work until there was nothing to do for the settings' time, or until another should take over.

        That is after a failure that was not understood, since a device's error may fail all later work, and
        where the memory that is held between jobs creeps.
        """
        idle_since = time.monotonic()
        while self.is_fit:
            if self.run_next():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > self._settings.worker.idle_seconds:
                return
            else:
                self._send(Beat(None))
                time.sleep(POLL_SECONDS)

    def run_next(self) -> bool:
        """Run the first job of the queue, if there is one, to whatever end."""
        claim = _insist(lambda: self._store.claim(self._owner, self._device.id or None))
        if claim is None:
            return False
        with about_request(claim.job.request_id):
            log.info("job %s: attempt %s", claim.job.id, claim.job.attempt)
            self._send(Beat(claim.job.id))
            try:
                ended = self._run(claim)
                log.info("job %s: %s", claim.job.id, _ending(ended))
            except JobLost:
                log.warning("job %s was given to somebody else; its work is dropped", claim.job.id)
        self.is_fit &= self._maker.rest()
        self._send(Beat(None))
        return True

    def _run(self, claim: Claim) -> Job:
        store = self._store
        attempt = Attempt(
            claim,
            self._settings,
            store,
            self._maker,
            lambda: self._send(Beat(claim.job.id)),
        )
        try:
            result = attempt.result()
        except (JobLost, WorkerLost, GivenBack):
            raise
        except Cancelled:
            remove_kept(self._settings.unpublished, claim.job.id)
            return _insist(lambda: store.confirm_cancel(claim))
        except I2VError as error:
            failure = error.to_dict()
        except MemoryError as error:
            reason = str(error) or "MemoryError"
            failure = InsufficientMemory("engine.out_of_memory", reason=reason).to_dict()
        except Exception as error:
            log.exception("job %s", claim.job.id)
            cause = package_error(error) or I2VError("job.internal", kind=type(error).__name__)
            failure = cause.to_dict()
            self._maker.drop()
            self.is_fit = False
        else:
            return _insist(lambda: store.finish(claim, result))
        failure = with_notice(failure, attempt.frames_notice())
        return _insist(lambda: store.fail(claim, failure))


def _ending(job: Job) -> str:
    """Return how a job ended, for the log: nothing of what was asked for."""
    if job.status == "succeeded" and job.started_at is not None and job.finished_at is not None:
        return f"succeeded after {job.finished_at - job.started_at:.1f} s: {job.output}"
    if job.error is not None:
        return f"{job.status} ({job.error['code']})"
    return job.status


def _insist(change: Callable[[], T]) -> T:
    """Repeat a transaction that the database refuses: its disk may be full, and what has happened counts."""
    for number in range(MAX_RETRIES):
        try:
            return change()
        except I2VError as error:
            if number == 0:
                log.error("the database is asked again every %s s: %s", RETRY_SECONDS, error)
            time.sleep(RETRY_SECONDS)
    return change()
