"""i2v.pipeline.loading: which engine is chosen, and that what is loaded says what it was loaded from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import InsufficientMemory, InvalidRequest, ModelUnavailable, Notice
from i2v.core.schema import DeviceInfo, EngineSpec, MemoryPlan, Offload
from i2v.core.settings import load_settings
from i2v.engines.base import Stage
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.specs import EMBEDDED, I2VGEN_XL
from i2v.pipeline.loading import Proofs, adopt_plan, choose_engine, explain_choice, load_engine
from i2v.weights import EMBEDDED as EMBEDDED_FOLDER
from i2v.weights import weights_digest
from i2v.weights.certificates import Certificate
from tests.models import models_in

CPU = DeviceInfo("cpu", "CPU", 2**34)
CUDA = DeviceInfo("cuda", "NVIDIA RTX 4090", 24 * 2**30)


@pytest.mark.parametrize(
    ("name", "device", "weights", "chosen"),
    [
        ("auto", CUDA, True, I2VGEN_XL),
        ("auto", CUDA, False, EMBEDDED),
        ("auto", CPU, True, EMBEDDED),
        ("auto", CPU, False, EMBEDDED),
        ("i2vgen-xl", CPU, False, I2VGEN_XL),
        ("embedded", CUDA, True, EMBEDDED),
    ],
)
def test_auto_takes_the_published_weights_where_they_and_cuda_are(
    name: str, device: DeviceInfo, weights: bool, chosen: EngineSpec, tmp_path: Path
) -> None:
    if weights:
        for file in I2VGEN_XL.files:
            path = tmp_path / "i2vgen-xl" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert choose_engine(name, device, models_in(tmp_path)) == chosen


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="sora"):
        choose_engine("sora", CPU, models_in(tmp_path))


def test_the_embedded_engine_loads_as_the_settings_say() -> None:
    settings = load_settings(flags={"engine.decode_chunk": 3, "engine.dtype": "bfloat16"})
    loaded = load_engine(EMBEDDED, CPU, settings)
    assert (loaded.engine.plan.device, loaded.engine.plan.dtype, loaded.engine.plan.decode_chunk) == (
        "cpu",
        "bfloat16",
        3,
    )
    assert loaded.engine.spec == EMBEDDED
    assert loaded.weights_sha256 == weights_digest(EMBEDDED, EMBEDDED_FOLDER)


def test_a_loaded_engine_takes_the_next_clips_plan_unless_its_weights_would_be_others() -> None:
    plan = MemoryPlan("cpu", "float32", threads=1)
    loaded = load_engine(EMBEDDED, CPU, load_settings(), plan)
    assert loaded.engine.plan == plan
    assert adopt_plan(loaded, MemoryPlan("cpu", "float32", cfg_passes=2, decode_chunk=3, chunk_tokens=99))
    assert loaded.engine.plan == replace(plan, cfg_passes=2, decode_chunk=3, chunk_tokens=99)
    assert not adopt_plan(loaded, replace(plan, dtype="bfloat16"))
    assert loaded.engine.plan.cfg_passes == 2
    assert adopt_plan(loaded, replace(plan, offload="model")), "its parts move"


class Rungs:
    """A ladder that has parts of the model wait in CPU memory, one after another."""

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        assert stage == "load"
        after: dict[Offload, Offload] = {"none": "encoders", "encoders": "model"}
        return replace(plan, offload=after[plan.offload]) if plan.offload in after else None

    def is_short(self) -> bool:
        return False


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_weights_that_do_not_fit_are_loaded_elsewhere_and_told(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[MemoryPlan] = []
    load = I2VGenXLEngine.load.__func__  # type: ignore[attr-defined]

    def fail(cls: type[I2VGenXLEngine], spec: EngineSpec, folder: Path, plan: MemoryPlan) -> I2VGenXLEngine:
        plans.append(plan)
        if len(plans) <= failures:
            raise InsufficientMemory("engine.out_of_memory", reason="CUDA out of memory")
        return load(cls, spec, folder, plan)  # type: ignore[no-any-return]

    monkeypatch.setattr(I2VGenXLEngine, "load", classmethod(fail))
    told: list[list[str]] = []
    plan = MemoryPlan("cpu", "float32", threads=1)

    def tell(notices: tuple[Notice, ...]) -> None:
        told.append([notice.code for notice in notices])

    if failures == 3:
        with pytest.raises(InsufficientMemory):
            load_engine(EMBEDDED, CPU, load_settings(), plan, Rungs(), tell)
    else:
        loaded = load_engine(EMBEDDED, CPU, load_settings(), plan, Rungs(), tell)
        assert loaded.engine.plan == plans[-1]
    offloads: list[Offload] = ["none", "encoders", "model"]
    assert [plan.offload for plan in plans] == offloads[: failures + 1]
    rungs = [["ladder.load", "ladder.offload_encoders"], ["ladder.load", "ladder.offload_model"]]
    assert told == rungs[:failures]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="i2vgen-xl"):
        load_engine(I2VGEN_XL, CPU, load_settings().model_copy(update={"models": models_in(tmp_path)}))


def test_weights_that_another_program_keeps_are_loaded_from_there(tiny_folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--ali-vilab--i2vgen-xl" / "snapshots" / I2VGEN_XL.published.revision
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(tiny_folder)
    models = models_in(tmp_path / "models", hub_cache=tmp_path)
    settings = load_settings(flags={"engine.dtype": "float32"}).model_copy(update={"models": models})
    assert choose_engine("auto", CUDA, models) is I2VGEN_XL
    assert str(snapshot) in explain_choice(CUDA, models).message
    assert load_engine(I2VGEN_XL, CPU, settings).weights_sha256 == weights_digest(I2VGEN_XL, tiny_folder)


def test_proofs_are_of_the_weights_that_are_there(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def certificates_of(weights: str | None) -> tuple[Certificate, ...]:
        asked.append(weights)
        return ()

    monkeypatch.setattr("i2v.pipeline.loading.certificates_of", certificates_of)
    proofs = Proofs(models_in(tmp_path))
    assert proofs.of(I2VGEN_XL) == ()  # nothing there
    shutil.copytree(tiny_folder, tmp_path / "i2vgen-xl")
    for _ in range(2):
        proofs.of(I2VGEN_XL)
    first = weights_digest(I2VGEN_XL, tiny_folder)
    assert asked == [None, first]  # looked up once
    (tmp_path / "i2vgen-xl/unet/config.json").write_text("{}")
    proofs.of(I2VGEN_XL)
    assert asked[2] not in (None, first)
