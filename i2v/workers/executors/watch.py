"""One worker process under watch, from its start to its end.

Owns when it is ended: SIGTERM for a cancel that its flag did not bring about, and when the service stops;
SIGKILL where that does not help, and for a hang. What becomes of its job is `supervisor`'s business.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import psutil

from i2v.core.settings import WorkerSettings
from i2v.workers.executors.entry import Found, LogLine, Message, Ready, Unable
from i2v.workers.worker import Beat

TICK_SECONDS = 0.2  # how late a cancel, a hang or the end of the service is noticed, at most
END_SECONDS = 5.0  # how long a killed process may take to end

log = logging.getLogger(__name__)


class Watch:
    """Follows a worker's messages and acts on them. `sweep` is called often; `on_job` whenever it is
    running another job than before, or none any more.

    Attributes:
        is_ready: it has begun to take jobs.
        job_id: the job that it said last that it is running.
        has_done_a_job: it is no worker that dies of every job, or before its first.
        was_asked: it was ended for a cancel or because the service stops.
    """

    def __init__(
        self,
        process: SpawnProcess,
        channel: Connection,
        options: WorkerSettings,
        stopping: threading.Event,
        *,
        is_cancelled: Callable[[str], bool],
        sweep: Callable[[], None],
        on_message: Callable[[Found | Ready | Unable], None],
        on_job: Callable[[], None],
    ) -> None:
        self._process = process
        self._sources: list[Connection | int] = [process.sentinel, channel]
        self._channel = channel
        self._options = options
        self._stopping = stopping
        self._is_cancelled = is_cancelled
        self._sweep = sweep
        self._on_message = on_message
        self._on_job = on_job
        self._last_message = time.monotonic()
        self._cancelled_since: float | None = None  # the job that is running
        self._asked_at: float | None = None
        self.is_ready = False
        self.job_id: str | None = None
        self.has_done_a_job = False

    @property
    def was_asked(self) -> bool:
        return self._asked_at is not None

    def run(self) -> None:
        """Return when the process has ended and nothing that it started is left. It is not reaped yet."""
        while self._process.sentinel not in wait(self._sources, TICK_SECONDS):
            self._read()
            self._act(time.monotonic())
            self._sweep()
        self._read()
        assert self._process.pid is not None  # it was started
        end_session(self._process.pid)

    def _read(self) -> None:
        try:
            while self._channel.poll():
                self._read_message(self._channel.recv())
        except (EOFError, OSError):  # it is ending; the sentinel says when
            self._sources = [self._process.sentinel]

    def _read_message(self, message: Message) -> None:
        self._last_message = time.monotonic()
        if isinstance(message, Beat):
            if message.job_id != self.job_id:
                self.has_done_a_job |= self.job_id is not None
                self.job_id, self._cancelled_since = message.job_id, None
                self._on_job()
        elif isinstance(message, LogLine):
            about = {"request_id": message.request_id}
            logging.getLogger(message.logger).log(message.level, "%s", message.text, extra=about)
        else:
            self.is_ready |= isinstance(message, Ready)
            self._on_message(message)

    def _act(self, now: float) -> None:
        if self._asked_at is not None:
            if now - self._asked_at > self._options.kill_seconds:
                self._process.kill()
        elif self._stopping.is_set() or self._cancel_is_late(now):
            self._asked_at = now
            if self.is_ready:
                self._process.terminate()
            else:  # it holds no job, and may be deaf for as long as it loads libraries
                self._process.kill()
        elif self._hangs(now):
            log.error("no message from the worker for too long: it is killed")
            self._process.kill()

    def _cancel_is_late(self, now: float) -> bool:
        """Tell whether the running job should have ended at one of its steps by now."""
        if self.job_id is None or not self._is_cancelled(self.job_id):
            return False
        if self._cancelled_since is None:
            self._cancelled_since = now
        return now - self._cancelled_since > self._options.cancel_seconds

    def _hangs(self, now: float) -> bool:
        allowed = self._options.hang_seconds if self.is_ready else self._options.start_seconds
        return now - self._last_message > allowed


def end_session(leader: int) -> None:
    """Kill what a dead worker left running (ffmpeg), so that nobody writes when its files are removed."""
    members: list[psutil.Process] = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):  # it has ended meanwhile
            if pid != leader and os.getsid(pid) == leader:
                member = psutil.Process(pid)
                member.kill()
                members.append(member)
    end = time.monotonic() + END_SECONDS
    while not all(map(_has_ended, members)) and time.monotonic() < end:
        time.sleep(0.005)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # its new parent may take its time to reap it
    except psutil.NoSuchProcess:
        return True
