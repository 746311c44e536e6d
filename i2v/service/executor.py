"""What the service asks of whoever runs its jobs."""

from __future__ import annotations

from typing import Protocol

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.workers.devices import DeviceState


class Executor(Protocol):
    """Who runs the jobs of a store. `executors.process` is the one for use, `executors.inline` for tests."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Let a running job go back to the queue, and return when nothing runs any more."""
        ...

    def wake(self) -> None:
        """Something was queued."""
        ...

    def device(self) -> DeviceInfo:
        """Return where jobs run, the first such place; may wait, and raises what keeps jobs from it."""
        ...

    def device_now(self) -> DeviceInfo | None:
        """Return the same without waiting, `None` as long as it is not known."""
        ...

    def devices(self) -> tuple[DeviceState, ...]:
        """Return every worker's device as it is now, without waiting."""
        ...

    def problem(self) -> I2VError | None:
        """Return why jobs that are queued now would not be run, without waiting; `None` if they would."""
        ...

    def deaths(self) -> int:
        """Return how many workers have died since the start."""
        ...

    def is_alive(self) -> bool:
        """Tell whether jobs will be run once nothing is in the way; if not, only a restart helps."""
        ...
