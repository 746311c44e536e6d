"""The table of engines: ours and those of installed packages, through the same door.

An entry is the place of an `EngineSpec`, "module:attribute". Ours stand in `BUILT_IN`; another package lists
its own under the entry point group `i2v.engines`. Deliberately knows nothing of any engine, and loads no
heavy library.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec

GROUP = "i2v.engines"

BUILT_IN = (
    "i2v.engines.i2vgen_xl.specs:I2VGEN_XL",
    "i2v.engines.i2vgen_xl.specs:EMBEDDED",
    "i2v.engines.camera_move.specs:CAMERA_MOVE",
    "i2v.engines.svd.specs:SVD",
    "i2v.engines.svd.specs:SVD_XT",
    "i2v.engines.animatediff.specs:ANIMATEDIFF",
    "i2v.engines.animatediff.specs:ANIMATEDIFF_LIGHTNING",
    "i2v.engines.animatediff.specs:ANIMATELCM",
    "i2v.engines.wan.specs:WAN_TI2V_5B",
    "i2v.engines.wan.specs:WAN_I2V_A14B",
)

log = logging.getLogger(__name__)


@cache
def engines() -> Mapping[str, EngineSpec]:
    """Return all engines by their names; looked up once per process."""
    ours = [EntryPoint(name=place, value=place, group=GROUP) for place in BUILT_IN]
    return collect(ours, entry_points(group=GROUP))


def collect(ours: Iterable[EntryPoint], others: Iterable[EntryPoint]) -> dict[str, EngineSpec]:
    """Return the specs by their names.

    One of another package that cannot be used is logged and left out, and so is one whose name is taken: it
    must not keep the rest from working.
    """
    found = {spec.name: spec for spec in (point.load() for point in ours)}
    for point in others:
        try:
            spec = point.load()
        except Exception:
            log.exception("engine %s (%s) cannot be imported, so it is left out", point.name, point.value)
            continue
        if not isinstance(spec, EngineSpec):
            log.error("engine %s: %s is no EngineSpec, so it is left out", point.name, point.value)
        elif spec.name in found or spec.name == "auto":
            log.error("engine %s: the name %r is taken, so it is left out", point.name, spec.name)
        else:
            found[spec.name] = spec
    return found


def models_of(known: Mapping[str, EngineSpec]) -> dict[str, ModelSpec]:
    """Return by name what has files: engines that do, and the models that their pictures need."""
    found: dict[str, ModelSpec] = {spec.name: spec for spec in known.values() if spec.files}
    for spec in known.values():
        for model in spec.input_models.values():
            found.setdefault(model.name, model)
    return found


def find_model(name: str, known: Mapping[str, EngineSpec] | None = None) -> ModelSpec:
    """Return the model called `name`, also one that only some pictures need; raises as `find_spec` does."""
    known = engines() if known is None else known
    return models_of(known).get(name) or find_spec(name, known)


def find_spec(name: str, known: Mapping[str, EngineSpec] | None = None) -> EngineSpec:
    """Return the spec called `name` among `known`, or all engines; `InvalidRequest` lists the known names."""
    known = engines() if known is None else known
    if name not in known:
        raise InvalidRequest("request.unknown_engine", value=shown(name), allowed=", ".join(("auto", *known)))
    return known[name]
