"""i2v.pipeline.engines: one engine at a time, loaded as a plan says and kept for as long as it serves."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan, Offload
from i2v.core.settings_sources import load_settings
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Ladder, SteppedDown
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.memory.plan import Planned
from i2v.pipeline.engines import EngineCache, LoadedEngine
from i2v.pipeline.plan import ClipPlan
from i2v.weights import EMBEDDED_FOLDER, weights_digest
from tests.models import models_in

CPU = DeviceInfo("cpu", "CPU", 2**34)
PLAN = MemoryPlan("cpu", "float32", threads=1)


@pytest.fixture
def cache() -> EngineCache:
    return EngineCache(load_settings().models)


def clip(generation: Generation, spec: EngineSpec = EMBEDDED, plan: MemoryPlan = PLAN) -> ClipPlan:
    return ClipPlan({}, spec, generation, CPU, Planned(plan))


def prepare(cache: EngineCache, plan: ClipPlan, ladder: Ladder = NO_LADDER) -> list[list[str]]:
    """Return the codes of the notices of each step down."""
    events = list(cache.prepare(plan, ladder))
    assert all(isinstance(event, SteppedDown) for event in events)
    return [[notice.code for notice in event.notices] for event in events]


def test_an_engine_is_loaded_as_the_plan_says(cache: EngineCache, generation: Generation) -> None:
    plan = replace(PLAN, dtype="bfloat16", decode_chunk=3)
    assert prepare(cache, clip(generation, plan=plan)) == []
    loaded = cache.current()
    assert (loaded.engine.plan, loaded.engine.spec, loaded.device) == (plan, EMBEDDED, CPU)
    assert loaded.weights_sha256 == weights_digest(EMBEDDED, EMBEDDED_FOLDER)
    assert cache.setup == ("embedded", "none")
    cache.drop()
    assert cache.setup is None


def test_a_loaded_engine_takes_the_next_clips_plan_unless_its_weights_would_be_others(
    cache: EngineCache, generation: Generation
) -> None:
    prepare(cache, clip(generation))
    first = cache.current()
    for plan in (
        replace(PLAN, cfg_passes=2, decode_chunk=3, chunk_tokens=99),
        replace(PLAN, offload="model"),
    ):
        prepare(cache, clip(generation, plan=plan))
        assert cache.current() is first
        assert first.engine.plan == plan
    prepare(cache, clip(generation, plan=replace(PLAN, dtype="bfloat16")))
    assert cache.current() is not first


def test_an_engine_is_loaded_anew_when_its_files_are_others(
    generation: Generation, tiny_spec: EngineSpec, tiny_folder: Path, tmp_path: Path
) -> None:
    """A model is fetched again, or another folder is added, while the service runs."""
    folder = tmp_path / tiny_spec.name
    shutil.copytree(tiny_folder, folder)
    cache, plan = EngineCache(models_in(tmp_path)), clip(generation, tiny_spec)
    prepare(cache, plan)
    first = cache.current()
    prepare(cache, plan)
    assert cache.current() is first
    (folder / "model_index.json").write_text((folder / "model_index.json").read_text() + "\n")
    prepare(cache, plan)
    assert cache.current() is not first
    assert cache.current().weights_sha256 != first.weights_sha256


def test_an_engine_is_gone_before_the_next_one_is_loaded(
    cache: EngineCache, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at once would not fit into the device."""
    load = I2VGenXLEngine.load.__func__  # type: ignore[attr-defined]
    loaded: list[weakref.ref[I2VGenXLEngine]] = []

    def watched(cls: type[I2VGenXLEngine], *rest: object) -> I2VGenXLEngine:
        assert [engine() for engine in loaded] == [None] * len(loaded)
        engine = load(cls, *rest)
        loaded.append(weakref.ref(engine))
        return engine

    monkeypatch.setattr(I2VGenXLEngine, "load", classmethod(watched))
    for dtype in ("float32", "bfloat16"):
        prepare(cache, clip(generation, plan=replace(PLAN, dtype=dtype)))
    assert len(loaded) == 2


class Rungs:
    """A ladder that has parts of the model wait in CPU memory, one after another."""

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        assert stage is Stage.LOAD
        after: dict[Offload, Offload] = {"none": "encoders", "encoders": "model"}
        return replace(plan, offload=after[plan.offload]) if plan.offload in after else None

    def is_short(self) -> bool:
        return False


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_weights_that_do_not_fit_are_loaded_elsewhere_and_that_is_said(
    cache: EngineCache, generation: Generation, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[MemoryPlan] = []
    load = I2VGenXLEngine.load.__func__  # type: ignore[attr-defined]

    def fail(cls: type[I2VGenXLEngine], spec: EngineSpec, folder: Path, plan: MemoryPlan) -> I2VGenXLEngine:
        plans.append(plan)
        if len(plans) <= failures:
            raise InsufficientMemory("engine.out_of_memory", reason="CUDA out of memory")
        return load(cls, spec, folder, plan)  # type: ignore[no-any-return]

    monkeypatch.setattr(I2VGenXLEngine, "load", classmethod(fail))
    rungs = [["ladder.load", "ladder.offload_encoders"], ["ladder.load", "ladder.offload_model"]]
    if failures == 3:
        events, said = cache.prepare(clip(generation), Rungs()), []
        with pytest.raises(InsufficientMemory):
            said.extend([notice.code for notice in event.notices] for event in events)
        assert cache.loaded is None
    else:
        said = prepare(cache, clip(generation), Rungs())
        assert cache.current().engine.plan == plans[-1]
    offloads: list[Offload] = ["none", "encoders", "model"]
    assert [plan.offload for plan in plans] == offloads[: failures + 1]
    assert said == rungs[:failures]


def test_missing_weights_are_named(generation: Generation, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="i2vgen-xl"):
        prepare(EngineCache(models_in(tmp_path)), clip(generation, I2VGEN_XL))


def test_weights_that_another_program_keeps_are_loaded_from_there(
    generation: Generation, tiny_folder: Path, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--ali-vilab--i2vgen-xl" / "snapshots" / I2VGEN_XL.published[0].revision
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(tiny_folder)
    cache = EngineCache(models_in(tmp_path / "models", hub_cache=tmp_path))
    prepare(cache, clip(generation, I2VGEN_XL))
    assert cache.current().weights_sha256 == weights_digest(I2VGEN_XL, tiny_folder)


def test_without_an_engine_there_is_none(cache: EngineCache) -> None:
    with pytest.raises(ValueError, match="prepare"):
        cache.current()
    cache.loaded = LoadedEngine(None, CPU, "")  # type: ignore[arg-type]
    assert cache.current() is cache.loaded
