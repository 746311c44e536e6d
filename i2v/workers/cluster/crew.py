"""What all lanes of a dispatcher have in common, and what one of them asks about the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from i2v.core.engine_spec import EngineSpec
from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.workers.cluster.handles import StartedHandle
from i2v.workers.cluster.places import Place
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import Introduction, Shared

if TYPE_CHECKING:
    from i2v.workers.cluster.lane import Lane


@dataclass(frozen=True)
class Setup:
    """What the lanes of a dispatcher have in common.

    `owner`: how the owners of their jobs begin; `shelf`: `None` has machines fetch no weights.
    """

    settings: Settings
    store: JobStore
    engines: Mapping[str, EngineSpec]
    owner: str
    stopping: threading.Event
    start_actor: Callable[[Place, Shared, Mapping[str, EngineSpec]], StartedHandle]
    shelf: Shelf | None = None


class Crew(Protocol):
    """All lanes, as one of them asks about the others."""

    def take_turn(self, lane: Lane) -> bool:
        """Tell whether there is a job for it that no other one takes, which has an actor and no job."""
        ...

    def lets_claim(self, lane: Lane) -> bool:
        """Tell whether there seems to be a job for it, and not for too many at once; see `has_claimed`."""
        ...

    def has_claimed(self) -> None:
        """A lane that `lets_claim` let through has a job, or has found none."""
        ...

    def has_others(self, lane: Lane) -> bool:
        """Tell whether others take jobs."""
        ...

    def introduced(self, lane: Lane, introduction: Introduction) -> None:
        """Its actor has said who it is."""
        ...

    def changed(self) -> None:
        """What `Lane.state` returns is another."""
        ...
