"""An executor that runs nothing, for tests of what happens before."""

from __future__ import annotations

from dataclasses import dataclass, field

from i2v.core.memory_plan import DeviceInfo
from i2v.workers.devices import DeviceState

FIELDS: dict[str, object] = {"prompt": "nothing"}


@dataclass
class Waiting:
    """See `i2v.service.executor.Executor`: counts how often it is woken, and runs nothing.

    `states`: its devices, where there is more than `device_info`.
    """

    woken: int = 0
    device_info: DeviceInfo = field(default_factory=lambda: DeviceInfo("cpu", "CPU", 2**33))

    states: tuple[DeviceState, ...] = ()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wake(self) -> None:
        self.woken += 1

    def device(self) -> DeviceInfo:
        return self.device_info

    def device_now(self) -> DeviceInfo:
        return self.device_info

    def devices(self) -> tuple[DeviceState, ...]:
        return self.states or (DeviceState("cpu", 1, self.device_info, "ready"),)

    def problem(self) -> None:
        return None

    def deaths(self) -> int:
        return 0

    def is_alive(self) -> bool:
        return True
