"""What `remote` and `lane` know of others: an actor, as `ray_handle` has it, and who sees to its machine."""

from __future__ import annotations

from typing import Protocol

from i2v.core.errors import I2VError
from i2v.workers.cluster.node import Leaving
from i2v.workers.cluster.wire import Answer, Errand, Introduction, Message
from i2v.workers.devices import Fetch
from i2v.workers.maker import Order


class Call(Protocol):
    """An actor's `make` under way."""

    def next(self, seconds: float) -> Message | None:
        """Return its next message, `None` where none has come in time.

        Raises `WorkerLost`, and `StopIteration` at the end of the stream.
        """
        ...


class Handle(Protocol):
    """An actor, as `ray_handle` has it; every method raises `WorkerLost` where it cannot be reached."""

    def make(self, order: Order, inputs: list[bytes]) -> Call: ...

    def models(self) -> tuple[str, ...]: ...

    def fetch(self, errand: Errand) -> Call: ...

    def give(self, answer: Answer) -> None: ...

    def stop(self, job_id: str) -> None: ...

    def read(self, kind: str, offset: int, size: int) -> bytes: ...

    def forget(self) -> None: ...

    def leaving(self) -> Leaving: ...


class Host(Protocol):
    """Whoever sees to the actor's machine, as `lane` does.

    Attributes:
        name: of the machine.
        is_stopping: the service ends.
    """

    @property
    def name(self) -> str: ...

    @property
    def is_stopping(self) -> bool: ...

    def show(self, fetch: Fetch | None) -> None:
        """Weights are fetched there now, `None`: none."""
        ...

    def note_models(self, models: tuple[str, ...]) -> None:
        """The machine has these engines' weights."""
        ...

    def give_away(self, error: I2VError) -> bool:
        """Tell whether another machine can take the job, since the disk of this one is full."""
        ...


class StartedHandle(Handle, Protocol):
    """A handle that can be asked who it is, and ended."""

    def look(self, seconds: float) -> Introduction: ...

    def models(self) -> tuple[str, ...]: ...

    def end(self) -> None: ...
