"""i2v.pipeline.choice: which engine is chosen and why, and what is proven of its weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest, ModelUnavailable
from i2v.core.memory_plan import DeviceInfo
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.pipeline.choice import CertificateCache, choose_engine, explain_choice
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
    assert choose_engine(name, device, models_in(tmp_path), engines()) == chosen


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="sora"):
        choose_engine("sora", CPU, models_in(tmp_path), engines())


def test_auto_goes_by_rank_and_needs_and_never_takes_an_engine_without_rank(tmp_path: Path) -> None:
    unranked = replace(EMBEDDED, name="by-name-only", rank=None)
    better = replace(EMBEDDED, name="better", rank=EMBEDDED.rank + 1)
    on_cards = replace(EMBEDDED, name="on-cards", rank=99, needs_cuda=True)
    known = {spec.name: spec for spec in (unranked, EMBEDDED, better, on_cards)}
    models = models_in(tmp_path)
    assert choose_engine("auto", CPU, models, known) is better
    assert choose_engine("auto", CUDA, models, known) is on_cards
    assert explain_choice(CPU, models, known).code == "engine.auto_no_cuda"
    assert explain_choice(CUDA, models, known).code == "engine.auto_full"
    with pytest.raises(ModelUnavailable) as caught:
        choose_engine("auto", CPU, models, {unranked.name: unranked})
    assert caught.value.code == "engine.none"


def test_weights_that_another_program_keeps_are_found(tiny_folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--ali-vilab--i2vgen-xl" / "snapshots" / I2VGEN_XL.published[0].revision
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(tiny_folder)
    models = models_in(tmp_path / "models", hub_cache=tmp_path)
    assert choose_engine("auto", CUDA, models, engines()) is I2VGEN_XL
    assert str(snapshot) in explain_choice(CUDA, models, engines()).message


def test_proofs_are_of_the_weights_that_are_there(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def certificates_of(weights: str | None) -> tuple[Certificate, ...]:
        asked.append(weights)
        return ()

    monkeypatch.setattr("i2v.pipeline.choice.certificates_of", certificates_of)
    certificates = CertificateCache(models_in(tmp_path))
    assert certificates.of(I2VGEN_XL) == ()  # nothing there
    shutil.copytree(tiny_folder, tmp_path / "i2vgen-xl")
    for _ in range(2):
        certificates.of(I2VGEN_XL)
    first = weights_digest(I2VGEN_XL, tiny_folder)
    assert asked == [None, first]  # looked up once
    (tmp_path / "i2vgen-xl/unet/config.json").write_text("{}")
    certificates.of(I2VGEN_XL)
    assert asked[2] not in (None, first)
