"""The one engine that a process has loaded: kept from clip to clip, loaded anew where a clip needs another.

Deliberately does not know jobs: a plan is all that it knows of a clip.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings import ModelSettings
from i2v.core.stages import Stage
from i2v.engines.base import Engine, Event, Ladder, engine_class
from i2v.engines.recovery import recovering
from i2v.pipeline.choice import weights_state
from i2v.pipeline.plan import ClipPlan
from i2v.weights.folders import find_weights
from i2v.weights.records import records_folder, weights_digest

NO_WEIGHTS = "none"  # in the place of a digest


@dataclass(frozen=True)
class LoadedEngine:
    """An engine with its weights on the device, and what a clip's provenance says of both.

    text_sha256: of the files that decide over a prompt's embedding; "" where none are kept of this engine.
    """

    engine: Engine
    device: DeviceInfo
    weights_sha256: str
    text_sha256: str = ""


class EngineCache:
    """Holds at most one engine, as `loaded`."""

    def __init__(self, models: ModelSettings) -> None:
        self.loaded: LoadedEngine | None = None
        self._models = models
        self._weights: tuple[object, ...] = ()  # that it was loaded from

    @property
    def setup(self) -> tuple[str, str] | None:
        """Name what is loaded, and where its weights are between clips."""
        if self.loaded is None:
            return None
        engine = self.loaded.engine
        return engine.spec.name, engine.plan.offload

    def drop(self) -> None:
        """Let go of the engine: nothing that it has on the device can be trusted."""
        self.loaded = None

    def current(self) -> LoadedEngine:
        """Return what `prepare` has loaded."""
        if self.loaded is None:
            raise ValueError("no engine is loaded: prepare one first")
        return self.loaded

    def prepare(self, plan: ClipPlan, ladder: Ladder) -> Generator[Event]:
        """Have the engine of the plan loaded and working by it.

        Yields `SteppedDown` where memory ran out and the ladder had a plan that leaves weights elsewhere.

        Raises:
            ModelUnavailable: naming file or tensor.
            InsufficientMemory: `engine.out_of_memory`.
        """
        weights, memory = weights_state(plan.spec, self._models), plan.memory.plan
        if self.loaded is not None and self._can_serve(self.loaded.engine, plan, weights):
            self.loaded.engine.adopt(memory)
            return
        self.loaded = None  # and nothing else refers to it: both at once would not fit
        loading = _Loading(plan.spec, self._models)
        yield from recovering(loading, memory, ladder, _reason)
        self.loaded, self._weights = loading.loaded(plan.device), weights

    def _can_serve(self, engine: Engine, plan: ClipPlan, weights: tuple[object, ...]) -> bool:
        now, wanted = engine.plan, plan.memory.plan
        is_loaded_so = (now.device, now.dtype, now.storage_dtype) == (
            wanted.device,
            wanted.dtype,
            wanted.storage_dtype,
        )
        return is_loaded_so and engine.spec == plan.spec and self._weights == weights


class _Loading:
    """Loading as work that may run out of memory (`i2v.engines.recovery.Work`)."""

    def __init__(self, spec: EngineSpec, models: ModelSettings) -> None:
        self.stage: Stage | None = Stage.LOAD
        self._spec = spec
        self._models = models
        self._folder = find_weights(spec, models) if spec.files else None
        self._engine: Engine | None = None

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        self._engine = engine_class(self._spec).load(self._spec, self._folder, plan)
        self.stage = None
        yield from ()

    def loaded(self, device: DeviceInfo) -> LoadedEngine:
        assert self._engine is not None, "it was loaded, or loading has raised"
        if self._folder is None:
            return LoadedEngine(self._engine, device, NO_WEIGHTS)
        spec, records = self._spec, records_folder(self._folder, self._models)
        digest, of_text = weights_digest(spec, self._folder, records), ""
        if spec.text_parts:
            of_text = weights_digest(spec, self._folder, records, spec.text_parts)
        return LoadedEngine(self._engine, device, digest, of_text)


def _reason(error: BaseException) -> str | None:
    if isinstance(error, InsufficientMemory) and error.code == "engine.out_of_memory":
        return str(error.params["reason"])
    return None
