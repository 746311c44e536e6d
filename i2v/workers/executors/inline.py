"""Jobs in the caller's own process, one after another, before `wake` returns: for tests and small scripts."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.memory.plan import probe_device
from i2v.workers.devices import DeviceState
from i2v.workers.worker import Worker


class InlineExecutor:
    """See `i2v.service.executor.Executor`."""

    def __init__(self, settings: Settings, store: JobStore, engines: Mapping[str, EngineSpec]) -> None:
        self._device = probe_device(settings.engine.device)
        self._worker = Worker(settings, store, engines, self._device, owner="inline")
        self._busy = threading.Lock()

    def start(self) -> None:
        self.wake()

    def stop(self) -> None:
        """Wait for the thread that is running jobs, if there is one."""
        with self._busy:
            pass

    def wake(self) -> None:
        with self._busy:  # one engine: jobs of several threads run one after another
            while self._worker.run_next():
                pass

    def device(self) -> DeviceInfo:
        return self._device

    def device_now(self) -> DeviceInfo:
        return self._device

    def devices(self) -> tuple[DeviceState, ...]:
        return (DeviceState(self._device.id, 1, self._device, "ready"),)

    def problem(self) -> None:
        return None

    def deaths(self) -> int:
        return 0

    def is_alive(self) -> bool:
        return True
