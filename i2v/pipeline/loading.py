"""From the settings to an engine that is ready: which one, on which device, how, and from which folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.schema import DeviceInfo, EngineSpec, MemoryPlan, shown
from i2v.core.settings import ModelSettings, Settings
from i2v.engines.base import NO_LADDER, Engine, Ladder, engine_class
from i2v.engines.recovery import changes
from i2v.engines.specs import EMBEDDED, ENGINES, I2VGEN_XL, find_spec
from i2v.memory import allocator
from i2v.memory.plan import plan_by_settings
from i2v.weights.certificates import Certificate, certificates_of
from i2v.weights.folders import find_weights, is_available, locate
from i2v.weights.records import known_digest, records_folder, weights_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedEngine:
    """An engine with its weights on the device, and what a clip's provenance says of both."""

    engine: Engine
    device: DeviceInfo
    weights_sha256: str


def choose_engine(
    name: str, device: DeviceInfo, models: ModelSettings, engines: Mapping[str, EngineSpec] = ENGINES
) -> EngineSpec:
    """Return the spec called `name`; "auto" is I2VGen-XL where its weights and CUDA are, else the embedded.

    Raises `InvalidRequest` for an unknown name. Whether a named engine's weights are there is not asked here.
    """
    if name != "auto":
        return find_spec(name, engines)
    return I2VGEN_XL if device.type == "cuda" and is_available(I2VGEN_XL, models) else EMBEDDED


def explain_choice(device: DeviceInfo, models: ModelSettings) -> Notice:
    """Return, as one sentence, what "auto" chooses on `device` and why."""
    path = shown(str(locate(I2VGEN_XL, models).path), limit=300)
    if choose_engine("auto", device, models) is I2VGEN_XL:
        return Notice("engine.auto_full", {"path": path})
    if device.type == "cuda":
        return Notice("engine.auto_no_weights", {"path": path})
    if is_available(I2VGEN_XL, models):
        return Notice("engine.auto_no_cuda", {})
    return Notice("engine.auto_neither", {"path": path})


def weights_state(spec: EngineSpec, models: ModelSettings) -> tuple[object, ...]:
    """Return what is another when the files that `load_engine` reads are others: paths, sizes, times.

    A model is fetched, replaced or removed while the service runs.
    """
    found = locate(spec, models)
    try:
        return tuple((path, size, path.stat().st_mtime_ns) for path, size in found.files.items())
    except OSError:  # removed at this moment
        return ()


class Proofs:
    """What is proven of the weights that are here, looked up again when their files are others."""

    def __init__(self, models: ModelSettings) -> None:
        self._models = models
        self._found: dict[str, tuple[tuple[object, ...], tuple[Certificate, ...]]] = {}

    def of(self, spec: EngineSpec) -> tuple[Certificate, ...]:
        """Return the certificates of the weights of `spec`; none where their digest is not known yet."""
        state = weights_state(spec, self._models)
        kept = self._found.get(spec.name)
        if kept is not None and kept[0] == state:
            return kept[1]
        folder = locate(spec, self._models).path
        digest = known_digest(spec, folder, records_folder(folder, self._models))
        certificates = certificates_of(digest)
        if digest is not None:  # else it is known after the first clip, of the same files
            self._found[spec.name] = (state, certificates)
        return certificates


def load_engine(
    spec: EngineSpec,
    device: DeviceInfo,
    settings: Settings,
    plan: MemoryPlan | None = None,
    ladder: Ladder = NO_LADDER,
    tell: Callable[[tuple[Notice, ...]], None] = lambda notices: None,
) -> LoadedEngine:
    """Load `spec` onto `device` by `plan`, or as the settings say.

    Where memory runs out and the ladder has a plan that leaves weights elsewhere, that one is taken and told.

    Raises:
        ModelUnavailable: naming file or tensor.
        InsufficientMemory: `engine.out_of_memory`.
    """
    plan = plan or plan_by_settings(device, settings.engine)
    folder = find_weights(spec, settings.models)
    while True:
        try:
            engine = engine_class(spec).load(spec, folder, plan)
            break
        except InsufficientMemory:
            lower = ladder.step_down(plan, "load")
            if lower is None:
                raise
        allocator.release()  # not before the error is gone: it holds what was loaded
        why = Notice("ladder.load", {})
        log.warning("%s It goes on by %s", why.message, lower)
        tell((why, *changes(plan, lower)))
        plan = lower
    return LoadedEngine(engine, device, weights_digest(spec, folder, records_folder(folder, settings.models)))


def adopt_plan(loaded: LoadedEngine, plan: MemoryPlan) -> bool:
    """Have the next clips made by `plan`; return `False` where the engine must be loaded again for it."""
    now = loaded.engine.plan
    if (now.device, now.dtype) != (plan.device, plan.dtype):
        return False
    loaded.engine.plan = replace(plan, threads=now.threads)
    return True
