"""Jobs on the machines of a Ray cluster: the process that is connected to it, and what it reports.

Owns that process, and Ray's head where the service starts its own. Ray itself is not loaded here: see
`workers.cluster`. A process that ends, whatever the reason, is started again, and the jobs that its actors
were at, which end with it, go back to the queue without blame.
"""

from __future__ import annotations

import copy
import logging
import multiprocessing
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from pathlib import Path
from socket import AF_INET, AF_INET6

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.core.signals import children_out_of_reach
from i2v.host.network import resolve
from i2v.jobs.model import Claim, Job
from i2v.jobs.store import JobStore
from i2v.weights.folders import is_available
from i2v.workers.cleanup import clean_up
from i2v.workers.cluster.dispatcher import LOG_NAME, Message, Report, Unable, dispatch
from i2v.workers.cluster.member import end, reach, reason_of
from i2v.workers.cluster.node import environment, head_command
from i2v.workers.devices import DeviceState
from i2v.workers.executors.entry import LogLine

FIRST_BACK_OFF, LAST_BACK_OFF = 0.5, 30.0  # seconds between two starts of the process
TICK_SECONDS = 0.2
SILENT_SECONDS = 60.0  # without a report the process hangs
HEAD_SECONDS = 60.0  # for Ray's head to answer
END_SECONDS = 10.0  # for the process to give back what it holds, when the service ends

log = logging.getLogger(__name__)


def check_installed() -> None:
    """Raise `I2VError` (`cluster.no_ray`) where there is no Ray."""
    if find_spec("ray") is None:
        raise I2VError("cluster.no_ray")


class RayExecutor:
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
        self._address = settings.ray.joined
        self._stopping = threading.Event()
        self._has_device = threading.Event()
        self._report = Report((), 0)
        self._ended = 0  # of earlier processes: deaths that they reported
        self._problem: I2VError | None = None
        self._thread = threading.Thread(target=self._supervise, name="ray", daemon=True)

    def start(self) -> None:
        """Connect to the cluster; raises `I2VError` (`cluster.no_ray`) where Ray is not installed."""
        check_installed()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._has_device.set()  # nobody need wait for one any more
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """The lanes look at the queue by themselves, some times a second."""

    def device(self) -> DeviceInfo:
        self._has_device.wait(self._settings.worker.start_seconds)
        for state in self._report.states:
            if state.info is not None:
                return state.info
        raise self.problem() or I2VError("cluster.no_device", address=self._address)

    def device_now(self) -> DeviceInfo | None:
        return self.device() if self._has_device.is_set() else None

    def devices(self) -> tuple[DeviceState, ...]:
        return self._report.states

    def problem(self) -> I2VError | None:
        if not self.is_alive():
            return I2VError("server.halted")
        problems = [state.problem for state in self._report.states]
        if None in problems:
            return None
        found = self._problem or next(iter(problems), None)
        return copy.copy(found) if found else I2VError("cluster.no_device", address=self._address)

    def deaths(self) -> int:
        return self._ended + self._report.deaths

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    # --- how

    def _supervise(self) -> None:
        back_off, head = 0.0, None
        try:
            while not self._stopping.wait(back_off):
                back_off = min(LAST_BACK_OFF, max(FIRST_BACK_OFF, 2 * back_off))
                try:
                    if not self._settings.ray.address and (head is None or head.poll() is not None):
                        head = self._start_head()
                        self._await(head)
                    if self._run_dispatcher():
                        back_off = FIRST_BACK_OFF
                except I2VError as error:  # Ray cannot be started
                    log.error("no job can be run now: %s", error.message)
                    self._problem = error
                except Exception as error:  # no descriptor is free, or a defect: this thread has to live
                    log.exception("no job can be run now")
                    reason = f"{type(error).__name__}: {error}"
                    self._problem = I2VError("worker.no_supervision", reason=shown(reason, limit=200))
        finally:
            if head is not None:
                end(head)

    def _start_head(self) -> subprocess.Popen[bytes]:
        """Start Ray's head on this machine; it keeps what it writes in files of its own.

        Raises `I2VError` (`cluster.no_head`) where it could not listen: what does already may be anybody's.
        """
        log.info("Ray's head starts at %s", self._address)
        host, port = self._settings.ray.head_host, self._settings.ray.head_port
        own = resolve(host)
        try:
            socket.create_server((own, port), family=AF_INET6 if ":" in own else AF_INET).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise I2VError("cluster.no_head", address=self._address, reason=reason) from error
        self._logs.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, **environment(self._address)}
        with (self._logs / "ray.log").open("ab") as output:
            return subprocess.Popen(
                head_command(host, port),
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # out of reach of Ctrl-C, which is for the service
            )

    def _await(self, head: subprocess.Popen[bytes]) -> None:
        """Return when the head answers, or has not for too long; raise where it has ended."""
        end = time.monotonic() + HEAD_SECONDS
        while time.monotonic() < end and not self._stopping.wait(TICK_SECONDS):
            if head.poll() is not None:
                path = self._logs / "ray.log"
                said = path.read_text(errors="replace")
                raise I2VError("cluster.not_joined", reason=reason_of(said), path=str(path))
            with suppress(I2VError):
                return reach(self._address)

    def _run_dispatcher(self) -> bool:
        """Start the process and follow it to its end; tell whether it was connected."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        arguments = (self._settings, self._address, owner, theirs, self._engines, self._logs)
        process = context.Process(target=dispatch, args=arguments, name="i2v-dispatcher", daemon=True)
        with ours:
            with theirs, children_out_of_reach():
                process.start()
            was_connected = False
            try:
                was_connected = self._follow(ours, process.sentinel)
                process.terminate()
                process.join(END_SECONDS)
            finally:
                process.kill()
                process.join()
                self._settle(owner)
        if not self._stopping.is_set():
            log.error("the connection to the cluster ended (status %s); see %s", process.exitcode, LOG_NAME)
        self._ended += self._report.deaths
        self._report = Report((), 0)
        self._has_device.clear()
        return was_connected

    def _follow(self, channel: Connection, sentinel: int) -> bool:
        """Read what the process reports until it ends or should end."""
        heard, was_connected = time.monotonic(), False
        while not self._stopping.is_set():
            ready = wait([channel, sentinel], TICK_SECONDS)
            try:
                while channel.poll():
                    heard = time.monotonic()
                    was_connected |= self._read(channel.recv())
            except (EOFError, OSError):
                return was_connected
            if sentinel in ready:
                return was_connected
            if time.monotonic() - heard > SILENT_SECONDS + self._settings.worker.start_seconds:
                log.error("no report of the cluster for too long: its process is killed")
                return was_connected
        return was_connected

    def _read(self, message: Message) -> bool:
        if isinstance(message, LogLine):
            about = {"request_id": message.request_id}
            logging.getLogger(message.logger).log(message.level, "%s", message.text, extra=about)
            return False
        if isinstance(message, Unable):
            self._problem = message.error
            return False
        self._report, self._problem = replace(message, states=self._with_all_models(message.states)), None
        if any(state.info is not None for state in message.states):
            self._has_device.set()
        return True

    def _settle(self, owner: str) -> None:
        """Put back what was held by the lanes of a process that has ended: its actors end with it."""
        while True:
            try:
                running = self._store.running()
                jobs = [job for job in running if job.owner is not None and job.owner.startswith(owner)]
                released = [self._store.release(Claim(job, job.owner or "")) for job in jobs]
                break
            except I2VError as error:
                log.error("jobs cannot be put back now: %s", error)
                if self._stopping.wait(1.0):
                    return  # the next service finds them interrupted
        self._clean_up(released)

    def _clean_up(self, jobs: list[Job]) -> None:
        for job in jobs:
            clean_up(job, self._settings.unpublished)

    def _with_all_models(self, states: tuple[DeviceState, ...]) -> tuple[DeviceState, ...]:
        """Let plans count on all machines' weights: a job goes where its engine's are, or they to it."""
        found = {name for state in states for name in state.models or ()}
        if self._settings.ray.fetch_weights:
            models = self._settings.models
            found |= {spec.name for spec in self._engines.values() if is_available(spec, models)}
        names = tuple(sorted(found))
        return tuple(
            state if state.info is None else replace(state, info=replace(state.info, models=names))
            for state in states
        )
