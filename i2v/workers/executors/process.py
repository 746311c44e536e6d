"""Jobs in one worker process, which is started when there is work and started again when it dies.

Owns when there is a worker, and what becomes of the job that an ended one held: it goes back to the queue
without blame if the worker was asked to end or ended in order; any other end, a hang too, is a death, which
the store counts. So is a running job that no living worker is at, whoever held it: that is looked for all the
time. What a job goes through is `worker`'s business, when a worker is ended `executors.watch`'s.
"""

from __future__ import annotations

import copy
import logging
import multiprocessing
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InsufficientMemory
from i2v.core.schema import DeviceInfo, shown
from i2v.core.settings import ROOT, Settings
from i2v.core.signals import children_out_of_reach
from i2v.jobs.model import Claim, Job
from i2v.jobs.store import JobStore
from i2v.workers.cleanup import clean_up
from i2v.workers.executors.entry import LOG_NAME, Ready, Unable, work
from i2v.workers.executors.watch import Watch

FIRST_BACK_OFF, LAST_BACK_OFF = 0.5, 30.0  # seconds between a death and the next start
ORPHAN_SECONDS = 60.0  # a running job that the worker has not been at for so long is given to another one
RETRY_SECONDS = 1.0  # between two requests to a database that cannot be used

log = logging.getLogger(__name__)


class ProcessExecutor:
    """See `i2v.service.executor.Executor`."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        engines: Mapping[str, EngineSpec],
        logs: Path = ROOT / "logs",
    ) -> None:
        self._settings = settings
        self._store = store
        self._engines = engines
        self._logs = logs
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._has_tried = threading.Event()  # to start a worker, whether it took jobs or not
        self._device: DeviceInfo | None = None
        self._problem: I2VError | None = None  # why the last worker took no jobs
        self._trouble: I2VError | None = None  # why there can be no worker now
        self._swept = time.monotonic()
        self._deaths = 0
        # The thread that starts the worker must live as long: PR_SET_PDEATHSIG is about threads.
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the first worker, which tells the device; later ones start when there is work."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; the job that it was running goes back to the queue."""
        self._stopping.set()
        self._wanted.set()
        self._has_tried.set()  # nobody need wait for a first worker any more
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        self._wanted.set()

    def device(self) -> DeviceInfo:
        """Return the worker's device, waiting for the first worker; raise what keeps it from working."""
        self._has_tried.wait(self._settings.worker.start_seconds)
        if not self.is_alive():
            raise I2VError("server.halted")
        if self._device is None:
            raise copy.copy(self._trouble or self._problem or self._not_started())
        return self._device

    def device_now(self) -> DeviceInfo | None:
        return self.device() if self._has_tried.is_set() else None

    def problem(self) -> I2VError | None:
        if not self.is_alive():
            return I2VError("server.halted")
        if error := self._trouble or self._problem:
            return copy.copy(error)
        return I2VError("server.not_ready") if self._device is None else None

    def deaths(self) -> int:
        return self._deaths

    def is_alive(self) -> bool:
        """Tell whether the thread lives that starts workers: always from `start` to `stop`."""
        return self._thread.is_alive()

    def _supervise(self) -> None:
        back_off = 0.0
        while True:
            self._wanted.clear()  # before anything is looked at: what comes later sets it again
            if self._stopping.wait(back_off):
                return
            try:
                self._sweep(None)
                if self._device is not None and not self._store.queue.has_work():
                    self._trouble, back_off = None, 0.0
                    self._wanted.wait(ORPHAN_SECONDS / 2)
                    continue
                ended_well, was_useful = self._run_worker()
            except I2VError as error:  # the database is away: it costs little to look for it often
                self._log_trouble(error)
                self._stopping.wait(RETRY_SECONDS)
                continue
            except Exception as error:  # no descriptor is free, or a defect: this thread has to live
                self._log_trouble(error)
                ended_well, was_useful = False, False
            if ended_well or was_useful:
                back_off = 0.0
            if not ended_well:
                back_off = min(LAST_BACK_OFF, max(FIRST_BACK_OFF, 2 * back_off))

    def _run_worker(self) -> tuple[bool, bool]:
        """Start a worker, watch it to its end, and see to what it leaves.

        Returns whether it ended well, and whether it has done a job.
        """
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        ours, theirs = context.Pipe(duplex=False)
        owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        arguments = (self._settings, owner, theirs, self._engines, self._logs)
        process = context.Process(target=work, args=arguments, name="i2v-worker", daemon=True)
        with ours:
            with theirs, children_out_of_reach():
                process.start()
            watch = Watch(
                process,
                ours,
                self._settings.worker,
                self._stopping,
                is_cancelled=self._is_cancelled,
                sweep=self._sweep_beside,
                on_message=self._on_message,
            )
            try:
                watch.run()
            except BaseException:  # no descriptor was free, perhaps: no worker is left without a watch
                process.kill()
                raise
            finally:  # nor a job without an end
                process.join()
                ended_well = watch.was_asked or (watch.is_ready and process.exitcode == 0)
                if not ended_well:
                    self._log_death(watch, process.exitcode)
                self._settle(owner, ended_well)
        return ended_well, watch.has_done_a_job

    def _log_death(self, watch: Watch, status: int | None) -> None:
        under = f" under job {watch.job_id}" if watch.job_id else ""
        self._deaths += 1
        log.error("the worker died%s (status %s); see %s", under, status, self._logs / LOG_NAME)
        if not watch.is_ready:
            self._note_problem(self._problem or self._not_started())

    def _settle(self, owner: str, ended_well: bool) -> None:
        """Take what a worker held that has ended, and remove the files of its unfinished attempt."""
        while True:
            try:
                jobs = self._release(owner) if ended_well else self._store.recover(owner)
                break
            except Exception as error:  # the database is away, as a rule; the job must not be forgotten
                self._log_trouble(error)
                if self._stopping.wait(RETRY_SECONDS):
                    return  # the next service finds it interrupted
        for job in jobs:
            clean_up(job, self._settings.unpublished)

    def _sweep(self, running: str | None) -> None:
        """Put back the jobs that no worker is at; `running` is the one that the living worker is at."""
        self._swept = time.monotonic()
        held = () if running is None else (running,)
        for job in self._store.recover_orphans(held, ORPHAN_SECONDS):
            log.error("job %s: it was running, but no worker is at it; it is %s now", job.id, job.status)
            clean_up(job, self._settings.unpublished)

    def _sweep_beside(self, running: str | None) -> None:
        """Do the same beside a worker, now and then."""
        pause = RETRY_SECONDS if self._trouble else ORPHAN_SECONDS / 2
        if time.monotonic() - self._swept < pause:
            return
        try:
            self._sweep(running)
        except (I2VError, sqlite3.Error) as error:
            self._log_trouble(error)
        else:
            self._trouble = None

    def _release(self, owner: str) -> list[Job]:
        running = self._store.page("running").jobs
        return [self._store.release(Claim(job, owner)) for job in running if job.owner == owner]

    def _is_cancelled(self, job_id: str) -> bool:
        try:
            return self._store.get(job_id).cancel_requested
        except (I2VError, sqlite3.Error):  # finished and deleted meanwhile; or the database is away for now
            return False

    def _on_message(self, message: Ready | Unable) -> None:
        if isinstance(message, Ready):
            self._device, self._problem, self._trouble = message.device, None, None
            self._has_tried.set()
        else:
            self._note_problem(message.error)

    def _note_problem(self, problem: I2VError) -> None:
        self._problem = problem
        self._has_tried.set()

    def _log_trouble(self, error: Exception) -> None:
        """Keep why nothing can be run now, and log it unless it is what was logged last."""
        trouble = error
        if not isinstance(trouble, I2VError):
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            trouble = I2VError("worker.no_supervision", reason=shown(str(reason), limit=200))
        if self._trouble is None or self._trouble.message != trouble.message:
            log.error("no job can be run now: %s", trouble.message, exc_info=not isinstance(error, I2VError))
        self._trouble = trouble
        self._has_tried.set()

    def _not_started(self) -> I2VError:
        return InsufficientMemory("worker.not_started", path=str(self._logs / LOG_NAME))
