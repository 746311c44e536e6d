"""The one engine that a worker has loaded: kept from job to job, planned for each, loaded anew if need be.

Deliberately does not know jobs: what a clip takes, and what was told, is all that it hears and says of one.
"""

from __future__ import annotations

from collections.abc import Callable

from i2v.core.errors import Notice
from i2v.core.schema import DeviceInfo
from i2v.core.settings import Settings
from i2v.memory.plan import measure_free, plan_memory
from i2v.pipeline.ladder import MemoryLadder
from i2v.pipeline.loading import LoadedEngine, adopt_plan, load_engine, weights_state

Tell = Callable[[tuple[Notice, ...]], None]


class EngineKeeper:
    """Holds at most one engine."""

    def __init__(self, settings: Settings, device: DeviceInfo) -> None:
        self._settings = settings
        self._device = device
        self._loaded: LoadedEngine | None = None
        self._weights: tuple[object, ...] = ()  # that it was loaded from

    @property
    def setup(self) -> tuple[str, str] | None:
        """Name what is loaded, and where its weights are between clips."""
        if self._loaded is None:
            return None
        engine = self._loaded.engine
        return engine.spec.name, engine.plan.offload

    def drop(self) -> None:
        """Let go of the engine: nothing that it has on the device can be trusted."""
        self._loaded = None

    def engine(self, ladder: MemoryLadder, deaths: int, tell: Tell) -> LoadedEngine:
        """Return the engine of the ladder's clip, with the plan for it.

        Args:
            deaths: workers that have died of this job.
            tell: hears what is done another way than it was planned.
        Raises as `load_engine` does.
        """
        spec = ladder.spec
        weights = weights_state(spec, self._settings.models)
        if self._loaded is not None and (self._loaded.engine.spec != spec or self._weights != weights):
            self._loaded = None
        offload = None if self._loaded is None else self._loaded.engine.plan.offload
        free = measure_free(self._device)
        plan = plan_memory(spec, ladder.generation, free, self._settings.engine, offload).plan
        if deaths:
            plan, notices = ladder.after_death(plan, deaths)
            tell(notices)
        if self._loaded is None or not adopt_plan(self._loaded, plan):
            self._loaded = None  # before the next one is loaded: both would not fit
            self._loaded = load_engine(spec, self._device, self._settings, plan, ladder, tell)
            self._weights = weights
        return self._loaded
