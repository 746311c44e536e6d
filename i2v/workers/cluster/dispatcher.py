"""The process that is connected to Ray: it sees which machines there are, and has a lane for each place.

It is one beside the service because Ray ends a process whose connection to the cluster is lost for good: the
page must outlive that. The store is the service's; what stands there is the truth about every job.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.settings import Settings
from i2v.jobs.devices import UNKNOWN
from i2v.jobs.store import JobStore
from i2v.workers.cleanup import clean_up
from i2v.workers.cluster.crew import Setup
from i2v.workers.cluster.gate import Gate
from i2v.workers.cluster.lane import Lane
from i2v.workers.cluster.member import reach
from i2v.workers.cluster.node import environment
from i2v.workers.cluster.places import Nodes, Place, find_places
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import Introduction
from i2v.workers.devices import CPU, DeviceState, is_needed
from i2v.workers.executors.entry import LogLine, begin_process

LOG_NAME = "worker.log"
LOOK_SECONDS = 0.5  # between two looks at the machines
REPORT_SECONDS = 1.0  # between two reports to the service, at most
ORPHAN_SECONDS = 60.0  # a running job that no lane has been at for so long is given to another one
GATHER_SECONDS = 60.0  # for machines to be back; before, no job is run where it has no weights
COMING = "*"  # in the place of a device: these machines
MAX_TAKERS = 64  # lanes with an actor and no job: then no other one is started for what they may take
END_SECONDS = 5.0  # for lanes to give back what they hold

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What the service knows of the cluster."""

    states: tuple[DeviceState, ...]
    deaths: int


@dataclass(frozen=True)
class Unable:
    """The last word: there is no Ray."""

    error: I2VError


Message = Report | Unable | LogLine


def dispatch(
    settings: Settings,
    address: str,
    owner: str,
    channel: Connection,
    engines: Mapping[str, EngineSpec],
    logs: Path,
) -> None:
    """Be that process until SIGTERM; `channel` takes its messages, `address` is Ray's (HOST:PORT)."""
    sending = threading.Lock()

    def send(message: Message) -> None:
        try:
            with sending:
                channel.send(message)
        except OSError:  # the service is gone, on a system where that has not ended us already
            os.kill(os.getpid(), signal.SIGTERM)

    begin_process(logs / LOG_NAME, send)
    try:
        connect(address)
        import ray

        from i2v.workers.cluster.ray_handle import RayHandle

        store = JobStore(settings.database, create=False)
        shelf = Shelf(settings.models, engines) if settings.ray.fetch_weights else None
        setup = Setup(settings, store, engines, owner, threading.Event(), RayHandle, shelf)
        Dispatcher(setup, send, partial(request_devices, settings)).run(ray.nodes)
    except KeyboardInterrupt:
        return
    except I2VError as error:
        log.exception("the cluster cannot be used")
        send(Unable(error))
        sys.exit(1)


def connect(address: str) -> None:
    """Join the Ray at `address` as one that asks for work; raise `I2VError` (`cluster.*`)."""
    os.environ.update(environment(address))
    reach(address)
    import ray

    try:
        ray.init(address=address, namespace="i2v", log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise I2VError("cluster.unreachable", address=address, reason=reason) from error


def request_devices(settings: Settings, devices: int) -> None:
    """Ask Ray's autoscaler for so many GPUs, or CPUs where the settings have these."""
    from ray.autoscaler.sdk import request_resources

    on_cpu = settings.worker.devices == CPU or settings.engine.device == CPU
    request_resources(bundles=[{"CPU" if on_cpu else "GPU": 1}] * devices)


class Dispatcher:
    """See `crew.Crew`."""

    def __init__(
        self,
        setup: Setup,
        send: Callable[[Report], None],
        request: Callable[[int], None] = lambda devices: None,
    ) -> None:
        """`request`: asks Ray's autoscaler to have so many devices."""
        self._request = request
        self._requested = 0
        self._setup = setup
        self._store = setup.store
        self._gate = Gate(setup.store.queue)
        self._send = send
        self._lanes: dict[tuple[str, str, int], Lane] = {}
        self._retired: list[Lane] = []  # that end their last job, perhaps
        self._deaths = 0  # of those that are gone
        self._turns = threading.Lock()
        self._changed = threading.Event()
        self._reported_at = self._swept_at = time.monotonic()

    def run(self, rows: Callable[[], Iterable[Mapping[str, object]]]) -> None:
        """Work until this is interrupted. `rows` are `ray.nodes()`."""
        nodes = Nodes()
        self._store.devices.replace([COMING])
        self._store.devices.have_models(COMING, [UNKNOWN])
        gathered_at: float | None = time.monotonic() + GATHER_SECONDS
        try:
            while True:
                places = find_places(nodes.read(rows()), self._setup.settings)
                try:
                    self.update(places)
                    if gathered_at is not None and time.monotonic() >= gathered_at:
                        self._store.devices.remove(COMING)
                        gathered_at = None
                    self._sweep()
                    self.ask_for_devices()
                except I2VError as error:  # the database is away
                    log.error("the queue cannot be seen to now: %s", error)
                if self._changed.wait(LOOK_SECONDS) or self._is_late():
                    self._report()
        finally:
            self._setup.stopping.set()
            end = time.monotonic() + END_SECONDS
            for lane in [*self._all(), *self._retired]:
                lane.join(max(0.0, end - time.monotonic()))

    def update(self, places: Sequence[Place]) -> None:
        """Have a lane for each of the places, and none for others."""
        wanted = {place.key: place for place in places}
        for key in self._lanes.keys() - wanted.keys():
            lane = self._lanes[key]
            if lane.device not in [other.device for other in self._all() if other is not lane]:
                self._store.devices.remove(lane.device)
            log.warning("%s is gone", lane.device)
            lane.retire()
            self._retired.append(self._lanes.pop(key))
            self._changed.set()
        for key in wanted.keys() - self._lanes.keys():
            lane = Lane(wanted[key], self._setup, self)
            if lane.device not in [other.device for other in self._all()]:
                self._store.devices.add([lane.device])
                self._store.devices.have_models(lane.device, [UNKNOWN])
            log.info("%s has joined", lane.device)
            self._lanes[key] = lane
            lane.start()
            self._changed.set()
        for lane in [lane for lane in self._retired if not lane.is_alive()]:
            self._retired.remove(lane)
            self._deaths += lane.deaths

    def ask_for_devices(self) -> None:
        """Have the cluster grow with the queue, as far as the settings allow.

        One device is asked for without any job too: jobs are planned, and so accepted, for one that is there.
        """
        most = self._setup.settings.ray.max_devices
        if not most:
            return
        counts = self._store.counts()
        wanted = max(1, min(most, counts["queued"] + counts["running"]))
        if wanted != self._requested:
            self._request(wanted)
            self._requested = wanted

    def report(self) -> Report:
        lanes = sorted(self._all(), key=lambda lane: (lane.device, lane.place.number))
        deaths = self._deaths + sum(lane.deaths for lane in [*lanes, *self._retired])
        return Report(tuple(lane.state() for lane in lanes), deaths)

    # --- what lanes ask

    def take_turn(self, lane: Lane) -> bool:
        if not self._gate.has_work(lane.device, lane.kind):
            return False
        with self._turns:
            others = [other for other in self._all() if other is not lane and other.takes_a_job]
            takers = [other.device for other in others]
            if len(takers) >= MAX_TAKERS:  # enough, but for a job that none of them may take
                groups = {self._gate.group(other.device, other.kind): other.device for other in others}
                if self._gate.group(lane.device, lane.kind) in groups:
                    return False
                takers = list(groups.values())[:MAX_TAKERS]
            lane.is_starting = is_needed(lane.device, takers, self._store.queue.claimable)
            return lane.is_starting

    def lets_claim(self, lane: Lane) -> bool:
        return self._gate.lets_pass(lane.device, lane.kind)

    def has_claimed(self) -> None:
        self._gate.leave()

    def has_others(self, lane: Lane) -> bool:
        others = [other for other in self._all() if other is not lane]
        return any(not (other.is_set_aside or other.is_leaving or other.info is None) for other in others)

    def introduced(self, lane: Lane, introduction: Introduction) -> None:
        with self._turns:  # Ray has given it another GPU than before: the lane that had that one has its now
            for other in self._all():
                if other.device == introduction.device.id and other.place.share == 1:
                    other.device = lane.device
            before, lane.device = lane.device, introduction.device.id
            if before not in [other.device for other in self._all()]:  # it was a guess
                self._store.devices.remove(before)

    def changed(self) -> None:
        self._changed.set()

    # --- how

    def _all(self) -> list[Lane]:
        """Return the lanes as they are now; another thread may add some meanwhile."""
        return list(self._lanes.values())

    def _is_late(self) -> bool:
        return time.monotonic() - self._reported_at > REPORT_SECONDS

    def _report(self) -> None:
        self._changed.clear()
        self._reported_at = time.monotonic()
        self._send(self.report())

    def _sweep(self) -> None:
        """Put back the jobs that no lane is at: a claim was committed, but nobody heard of it."""
        if time.monotonic() - self._swept_at < ORPHAN_SECONDS / 2:
            return
        self._swept_at = time.monotonic()
        held = {lane.job_id for lane in [*self._all(), *self._retired]}
        for job in self._store.recover_orphans({job for job in held if job is not None}, ORPHAN_SECONDS):
            log.error("job %s: it was running, but no worker is at it; it is %s now", job.id, job.status)
            clean_up(job, self._setup.settings.unpublished)
