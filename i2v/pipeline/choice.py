"""Which engine a request is run by, and what is proven of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.fields import shown
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import ModelSettings
from i2v.engines.registry import find_spec
from i2v.weights.certificates import Certificate, certificates_of
from i2v.weights.folders import is_available, locate
from i2v.weights.parts import check_reader, gguf_in
from i2v.weights.records import known_digest, records_folder
from i2v.weights.shards import size_of


def choose_engine(
    name: str, device: DeviceInfo, models: ModelSettings, engines: Mapping[str, EngineSpec]
) -> EngineSpec:
    """Return the spec called `name`; "auto" is the one of the highest rank that can run here.

    Raises:
        InvalidRequest: the name is not known. Whether a named engine's weights are there is not asked here.
        ModelUnavailable: "auto", and there is none.
    """
    if name != "auto":
        return find_spec(name, engines)
    for spec in _by_rank(engines):
        if (device.type == "cuda" or not spec.needs_cuda) and _is_available(spec, device, models):
            return spec
    raise ModelUnavailable("engine.none", allowed=", ".join(engines))


def as_stored(spec: EngineSpec, models: ModelSettings) -> EngineSpec:
    """Return `spec` with the sizes of weights that are there in GGUF: they decide over the memory.

    Raises `ModelUnavailable` where these cannot be read here (`weights.no_gguf`).
    """
    if not spec.gguf_files:
        return spec
    folder = locate(spec, models).path
    check_reader(spec, folder)
    found = {name: gguf_in(spec, folder, name) for name in spec.gguf_files}
    sizes = {name.partition("/")[0]: size_of(path) for name, path in found.items() if path is not None}
    return replace(spec, stored_bytes=sizes)


def explain_choice(device: DeviceInfo, models: ModelSettings, engines: Mapping[str, EngineSpec]) -> Notice:
    """Return, as one sentence, what "auto" chooses on `device`, and what keeps it from the best engine.

    Raises `ModelUnavailable` as `choose_engine` does.
    """
    best = best_engine(engines)
    if best is None:
        raise ModelUnavailable("engine.none", allowed=", ".join(engines))
    path = shown(str(locate(best, models).path), limit=300)
    if choose_engine("auto", device, models, engines) is best:
        return Notice("engine.auto_full", {"title": best.title, "path": path})
    if device.type == "cuda" or not best.needs_cuda:
        return Notice("engine.auto_no_weights", {"path": path})
    if _is_available(best, device, models):
        return Notice("engine.auto_no_cuda", {})
    return Notice("engine.auto_neither", {"path": path})


def _is_available(spec: EngineSpec, device: DeviceInfo, models: ModelSettings) -> bool:
    return is_available(spec, models) if device.models is None else spec.name in device.models


def best_engine(engines: Mapping[str, EngineSpec]) -> EngineSpec | None:
    """Return what "auto" takes where nothing stands against it; `None` where it takes none at all."""
    return next(iter(_by_rank(engines)), None)


def _by_rank(engines: Mapping[str, EngineSpec]) -> Iterable[EngineSpec]:
    ranked = [spec for spec in engines.values() if spec.rank is not None]
    return sorted(ranked, key=lambda spec: spec.rank or 0, reverse=True)


def weights_state(spec: EngineSpec, models: ModelSettings) -> tuple[object, ...]:
    """Return what is another when the files that `load_engine` reads are others: paths, sizes, times.

    A model is fetched, replaced or removed while the service runs.
    """
    found = locate(spec, models)
    try:
        return tuple((path, size, path.stat().st_mtime_ns) for path, size in found.files.items())
    except OSError:  # removed at this moment
        return ()


class CertificateCache:
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
