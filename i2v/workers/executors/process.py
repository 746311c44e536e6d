"""Jobs in worker processes of this machine, one for each slot of its devices.

Owns which slots there are, and how their supervisors know of each other: a worker is started only for a job
that no free one takes, and no device stands in the way of another. What happens to one worker and its job is
`executors.supervisor`'s business.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.jobs.store import JobStore
from i2v.workers.devices import DeviceState, Slot, first_slots, is_needed, slots_beside
from i2v.workers.executors.supervisor import Setup, Supervisor


class ProcessExecutor:
    """See `i2v.service.executor.Executor`, and `executors.supervisor.Crew`."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        engines: Mapping[str, EngineSpec],
        logs: Path = ROOT / "logs",
    ) -> None:
        self.stopping = threading.Event()
        self._setup = Setup(settings, store, engines, logs)
        self._has_tried = threading.Event()  # a worker takes jobs, or all have tried to
        self._turns = threading.Lock()
        self._supervisors: tuple[Supervisor, ...] = self._new(first_slots(settings))

    def _new(self, slots: Iterable[Slot]) -> tuple[Supervisor, ...]:
        return tuple(Supervisor(slot, self._setup, self) for slot in slots)

    def start(self) -> None:
        """Start a first worker on each device, which looks at it; others start when there is work."""
        known = [each.slot.device for each in self._supervisors]
        self._setup.store.devices.replace(filter(None, known))
        for each in self._supervisors:
            each.start()

    def stop(self) -> None:
        """End the workers, all at once; the jobs that they were running go back to the queue."""
        with self._turns:  # no supervisor is added any more
            self.stopping.set()
        self._has_tried.set()  # nobody need wait for a first worker any more
        self.wake()
        for each in self._supervisors:
            each.join()

    def wake(self) -> None:
        for each in self._supervisors:
            each.wake()

    def device(self) -> DeviceInfo:
        """Return the device of the first worker that has one, waiting for it; raise why none has."""
        self._has_tried.wait(self._setup.settings.worker.start_seconds)
        if not self.is_alive():
            raise I2VError("server.halted")
        for each in self._supervisors:
            if each.device is not None:
                return each.device
        first = self._supervisors[0]
        problem = first.problem()
        if problem is None or problem.code == "server.not_ready":
            problem = InsufficientMemory("worker.not_started", path=str(first.log_path))
        raise problem

    def device_now(self) -> DeviceInfo | None:
        return self.device() if self._has_tried.is_set() else None

    def devices(self) -> tuple[DeviceState, ...]:
        return tuple(each.state() for each in self._supervisors)

    def problem(self) -> I2VError | None:
        if not self.is_alive():
            return I2VError("server.halted")
        problems = [each.problem() for each in self._supervisors]
        return None if None in problems else problems[0]

    def deaths(self) -> int:
        return sum(each.deaths for each in self._supervisors)

    def is_alive(self) -> bool:
        """Tell whether all threads live that start workers: always from `start` to `stop`."""
        return all(each.is_alive() for each in self._supervisors)

    # --- what supervisors ask

    def take_turn(self, supervisor: Supervisor) -> bool:
        with self._turns:  # of two that look at the same time, one counts the other's worker
            others = [each for each in self._supervisors if each is not supervisor]
            takers = [_device_id(each) for each in others if each.takes_a_job]
            supervisor.is_starting = is_needed(
                _device_id(supervisor), takers, self._setup.store.queue.claimable
            )
            return supervisor.is_starting

    def jobs(self) -> Collection[str]:
        return [job for each in self._supervisors if (job := each.job_id) is not None]

    def has_others(self, supervisor: Supervisor) -> bool:
        return any(each.problem() is None for each in self._supervisors if each is not supervisor)

    def changed(self, supervisor: Supervisor) -> None:
        device = supervisor.device
        for each in self._supervisors:
            is_unknown = each.device is None and each.slot.number > 1
            if is_unknown and device is not None and each.slot.device == device.id:
                each.device = device
            if each is not supervisor:
                each.wake()
        if device is not None or all(each.has_tried for each in self._supervisors if each.slot.number == 1):
            self._has_tried.set()

    def found(self, supervisor: Supervisor, cards: int) -> None:
        with self._turns:
            if self.stopping.is_set() or len(self._supervisors) > 1:
                return
            added = self._new(slots_beside(supervisor.slot, cards))
            self._supervisors += added
        for each in added:
            each.start()


def _device_id(supervisor: Supervisor) -> str | None:
    return None if supervisor.device is None else supervisor.device.id
