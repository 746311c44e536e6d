"""The worker of one slot, which is started when there is work and started again when it dies.

Owns when there is a worker, and what becomes of the job that an ended one held: it goes back to the queue
without blame if the worker was asked to end or ended in order; any other end, a hang too, is a death, which
the store counts. So is a running job that no living worker is at, whoever held it: that is looked for all the
time. What a job goes through is `worker`'s business, when a worker is ended `executors.watch`'s, and which
slots there are `executors.process`'s.
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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InsufficientMemory
from i2v.core.fields import shown
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.signals import children_out_of_reach
from i2v.jobs.model import Claim, Job
from i2v.jobs.store import JobStore
from i2v.workers.cleanup import clean_up
from i2v.workers.devices import Activity, DeviceState, Slot
from i2v.workers.executors.entry import Found, Ready, Unable, work
from i2v.workers.executors.watch import Watch

FIRST_BACK_OFF, LAST_BACK_OFF = 0.5, 30.0  # seconds between a death and the next start
FAILED_STARTS = 3  # in a row set a slot aside, where there are others
SET_ASIDE_SECONDS = 300.0  # until it is tried again
ORPHAN_SECONDS = 60.0  # a running job that the worker has not been at for so long is given to another one
RETRY_SECONDS = 1.0  # between two requests to a database that cannot be used

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What the workers of a service have in common.

    `reaping` is held where a process is started or reaped: to start one, `multiprocessing` reaps others.
    """

    settings: Settings
    store: JobStore
    engines: Mapping[str, EngineSpec]
    logs: Path
    reaping: threading.Lock = field(default_factory=threading.Lock)


class Crew(Protocol):
    """All supervisors of a service, as one of them asks about the others."""

    stopping: threading.Event

    def take_turn(self, supervisor: Supervisor) -> bool:
        """Tell whether there is a job for its worker that no other one takes, who runs and has none."""
        ...

    def jobs(self) -> Collection[str]:
        """Return the ids of the jobs that living workers are at."""
        ...

    def has_others(self, supervisor: Supervisor) -> bool:
        """Tell whether others take jobs."""
        ...

    def changed(self, supervisor: Supervisor) -> None:
        """It has a worker that takes jobs, or can have none, or its worker has another job than before."""
        ...

    def found(self, supervisor: Supervisor, cards: int) -> None:
        """Its worker has counted the GPUs."""
        ...


class Supervisor:
    """Sees to the worker of one slot. `start` it once; it ends when the crew is `stopping`.

    Attributes:
        device: what its worker works on; `None` until one has looked, be it that of another slot.
        deaths: how many of its workers have died.
        has_tried: to start a worker, whether it took jobs or not.
        is_starting: a worker is decided on, or there is one.
        is_set_aside: its workers did not start several times in a row, while others did.
    """

    def __init__(self, slot: Slot, setup: Setup, crew: Crew) -> None:
        self.slot = slot
        self.device: DeviceInfo | None = None
        self.deaths = 0
        self.has_tried = self.is_starting = self.is_set_aside = False
        self._settings = setup.settings
        self._store = setup.store
        self._setup = setup
        self.log_path = setup.logs / slot.log_name
        self._crew = crew
        self._wanted = threading.Event()
        self._watch: Watch | None = None
        self._failed_starts = 0  # in a row
        self._problem: I2VError | None = None  # why the last worker took no jobs
        self._trouble: I2VError | None = None  # why there can be no worker now
        self._swept = time.monotonic()
        # The thread that starts the worker must live as long: PR_SET_PDEATHSIG is about threads.
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the first worker, which tells the device; later ones start when there is work."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the worker; the job that it was running goes back to the queue."""
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        self._wanted.set()

    def is_alive(self) -> bool:
        """Tell whether the thread lives that starts workers: always from `start` to the end."""
        return self._thread.is_alive()

    def problem(self) -> I2VError | None:
        """Return why it takes no job now."""
        if not self.is_alive():
            return I2VError("server.halted")
        if error := self._trouble or self._problem:
            return copy.copy(error)
        return I2VError("server.not_ready") if self.device is None else None

    @property
    def job_id(self) -> str | None:
        """What its worker said last that it is at."""
        watch = self._watch
        return None if watch is None else watch.job_id

    @property
    def takes_a_job(self) -> bool:
        """Tell whether it has a worker without a job, or one that should be there soon."""
        watch = self._watch
        is_there = self.is_starting if watch is None else watch.is_ready or not self._failed_starts
        return is_there and self.job_id is None

    def state(self) -> DeviceState:
        activity: Activity = "starting" if self.device is None else "ready"
        if self.is_set_aside:
            activity = "set_aside"
        job_id = self.job_id
        return DeviceState(
            id=self.device.id if self.device is not None else self.slot.device or "",
            number=self.slot.number,
            info=self.device,
            activity=activity if job_id is None else "busy",
            job_id=job_id,
            problem=self.problem(),
        )

    def _supervise(self) -> None:
        back_off = 0.0
        while True:
            self._wanted.clear()  # before anything is looked at: what comes later sets it again
            if self._crew.stopping.wait(back_off):
                return
            try:
                self._sweep()
                if not self._should_start():
                    self._trouble, back_off = None, 0.0
                    self._wanted.wait(ORPHAN_SECONDS / 2)
                    continue
                ended_well, was_useful = self._run_worker()
            except I2VError as error:  # the database is away: it costs little to look for it often
                self._log_trouble(error)
                self._crew.stopping.wait(RETRY_SECONDS)
                continue
            except Exception as error:  # no descriptor is free, or a defect: this thread has to live
                self._log_trouble(error)
                ended_well, was_useful = False, False
            finally:
                self.is_starting = False
            if ended_well or was_useful:
                back_off = 0.0
            if not ended_well:
                back_off = min(LAST_BACK_OFF, max(FIRST_BACK_OFF, 2 * back_off))
            if self.is_set_aside:
                back_off = SET_ASIDE_SECONDS

    def _should_start(self) -> bool:
        if self.device is None:  # a device's first worker looks at it, also when there is no job
            return self.slot.number == 1
        self.is_starting = self.is_set_aside or self._crew.take_turn(self)
        return self.is_starting

    def _run_worker(self) -> tuple[bool, bool]:
        """Start a worker, watch it to its end, and see to what it leaves.

        Returns whether it ended well, and whether it has done a job.
        """
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        ours, theirs = context.Pipe(duplex=False)
        owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        arguments = (self._settings, owner, theirs, self._setup.engines, self._setup.logs, self.slot)
        process = context.Process(target=work, args=arguments, name="i2v-worker", daemon=True)
        with ours:
            with theirs, self._setup.reaping, children_out_of_reach():
                process.start()
            watch = self._watch = Watch(
                process,
                ours,
                self._settings.worker,
                self._crew.stopping,
                is_cancelled=self._is_cancelled,
                sweep=self._sweep_beside,
                on_message=self._on_message,
                on_job=lambda: self._crew.changed(self),
            )
            try:
                watch.run()
            except BaseException:  # no descriptor was free, perhaps: no worker is left without a watch
                process.kill()
                raise
            finally:  # nor a job without an end
                with self._setup.reaping:
                    process.join()
                ended_well = watch.was_asked or (watch.is_ready and process.exitcode == 0)
                if not ended_well:
                    self._note_death(watch, process.exitcode)
                self._settle(owner, ended_well)
                self._watch, self.is_starting = None, False
                self._crew.changed(self)
        return ended_well, watch.has_done_a_job

    def _note_death(self, watch: Watch, status: int | None) -> None:
        under = f" under job {watch.job_id}" if watch.job_id else ""
        self.deaths += 1
        log.error("the worker died%s (status %s); see %s", under, status, self.log_path)
        if watch.is_ready:
            return
        self._failed_starts += 1
        problem = self._problem or self._not_started()
        if self._failed_starts >= FAILED_STARTS and not self.is_set_aside and self._crew.has_others(self):
            self.is_set_aside = True
            name, failed = self.slot.device or "the first device", self._failed_starts
            line = "%s is set aside: its worker did not start %d times in a row (tried every %.0f s): %s"
            log.error(line, name, failed, SET_ASIDE_SECONDS, problem.message)
        self._note_problem(problem)

    def _settle(self, owner: str, ended_well: bool) -> None:
        """Take what a worker held that has ended, and remove the files of its unfinished attempt."""
        while True:
            try:
                jobs = self._release(owner) if ended_well else self._store.recover(owner)
                break
            except Exception as error:  # the database is away, as a rule; the job must not be forgotten
                self._log_trouble(error)
                if self._crew.stopping.wait(RETRY_SECONDS):
                    return  # the next service finds it interrupted
        for job in jobs:
            clean_up(job, self._settings.unpublished)

    def _sweep(self) -> None:
        """Put back the jobs that no worker is at."""
        self._swept = time.monotonic()
        for job in self._store.recover_orphans(self._crew.jobs(), ORPHAN_SECONDS):
            log.error("job %s: it was running, but no worker is at it; it is %s now", job.id, job.status)
            clean_up(job, self._settings.unpublished)

    def _sweep_beside(self) -> None:
        """Do the same beside a worker, now and then."""
        pause = RETRY_SECONDS if self._trouble else ORPHAN_SECONDS / 2
        if time.monotonic() - self._swept < pause:
            return
        try:
            self._sweep()
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

    def _on_message(self, message: Found | Ready | Unable) -> None:
        if isinstance(message, Found):
            self._crew.found(self, message.cards)
        elif isinstance(message, Ready):
            if self.is_set_aside:
                log.warning("%s takes jobs again", message.device.id)
            self.device, self._problem, self._trouble = message.device, None, None
            self._failed_starts, self.is_set_aside = 0, False
            self._tried()
        else:
            self._note_problem(message.error)

    def _note_problem(self, problem: I2VError) -> None:
        self._problem = problem
        self._tried()

    def _tried(self) -> None:
        self.has_tried = True
        self._crew.changed(self)

    def _log_trouble(self, error: Exception) -> None:
        """Keep why nothing can be run now, and log it unless it is what was logged last."""
        trouble = error
        if not isinstance(trouble, I2VError):
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            trouble = I2VError("worker.no_supervision", reason=shown(str(reason), limit=200))
        if self._trouble is None or self._trouble.message != trouble.message:
            log.error("no job can be run now: %s", trouble.message, exc_info=not isinstance(error, I2VError))
        self._trouble = trouble
        self._tried()

    def _not_started(self) -> I2VError:
        return InsufficientMemory("worker.not_started", path=str(self.log_path))
