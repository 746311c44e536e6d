"""i2v.weights.conversion: stored again, compared, recorded; the originals go only then, and only if asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from i2v.core.errors import Cancelled, InvalidRequest, ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.core.model_spec import Conversion
from i2v.core.settings import ModelSettings
from i2v.engines.wan.components import load_components
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.weights import conversion
from i2v.weights.check import verify
from i2v.weights.conversion import convert, plan_conversion
from i2v.weights.download import download
from i2v.weights.folders import locate
from i2v.weights.parts import HUB
from i2v.weights.progress import TransferProgress
from i2v.weights.records import RECORDS, Expected, Listing, weights_digest, write_listing
from tests.models import models_in
from tests.tiny_wan import write_tiny_wan
from tests.weights.conftest import MakeHub
from tests.weights.families import make_spec, repository
from tests.weights.hub import REVISION, make_weights

NAME = "unet/diffusion_pytorch_model"
FILE, NEW, INDEX = f"{NAME}.safetensors", f"{NAME}.bf16.safetensors", f"{NAME}.safetensors.index.json"
REPO = "someone/wide"
SPEC = make_spec(
    "wide",
    ("model_index.json", FILE),
    repository(REPO, variant="bf16"),
    conversions=(Conversion(FILE, 400, ("norm1",)),),
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """Two shards of float32, with their index."""
    torch.manual_seed(0)
    tensors = {"a.weight": torch.randn(20, 5), "b.norm1.weight": torch.randn(9)}
    content, owners = {"model_index.json": b"{}"}, {}
    for number, (name, tensor) in enumerate(tensors.items(), 1):
        shard = f"diffusion_pytorch_model-{number:05}-of-00002.safetensors"
        save_file({name: tensor}, tmp_path / "shard")
        content[f"unet/{shard}"] = (tmp_path / "shard").read_bytes()
        owners[name] = shard
    return content | {INDEX: json.dumps({"weight_map": owners}).encode()}


@pytest.fixture
def models(files: dict[str, bytes], tmp_path: Path) -> ModelSettings:
    """The model is there as a download leaves it."""
    settings = models_in(tmp_path / "models", sources="")
    folder = settings.directory / SPEC.name
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    listed = {
        name: Expected(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()
    }
    write_listing(folder / RECORDS, Listing(HUB, REVISION, listed, REPO), SPEC.published[0])
    return settings


def names(models: ModelSettings) -> set[str]:
    folder = models.directory / SPEC.name
    return {path.relative_to(folder).as_posix() for path in folder.glob("unet/*")}


def test_it_is_read_from_then_on_and_the_originals_stay_unless_they_are_to_go(
    models: ModelSettings, files: dict[str, bytes]
) -> None:
    folder, before = models.directory / SPEC.name, weights_digest(SPEC, models.directory / SPEC.name)
    planned = plan_conversion(SPEC, models)
    assert planned is not None
    assert planned.needed == 400
    done = convert(SPEC, models)
    assert done.removed == 0
    assert names(models) == {NEW, *(name for name in files if name.startswith("unet/"))}
    assert [path.relative_to(folder).as_posix() for path in locate(SPEC, models).files][1:] == [NEW]
    found = load_file(folder / NEW)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "a.weight": torch.bfloat16, "b.norm1.weight": torch.float32,
    }  # fmt: skip
    assert weights_digest(SPEC, folder) != before

    checked = verify(SPEC, models)
    assert checked.is_right
    assert {check.name: check.how for check in checked.files}[NEW] == "sha256"
    assert convert(SPEC, models, remove_originals=True).removed > 0
    assert names(models) == {NEW}
    assert not (folder / RECORDS / "converting").exists()
    assert locate(SPEC, models).missing is None
    with pytest.raises(InvalidRequest, match="nothing to convert"):
        convert(SPEC, models)


def test_a_damaged_copy_is_found_and_only_what_is_missing_is_fetched(
    models: ModelSettings, files: dict[str, bytes], make_hub: MakeHub
) -> None:
    folder = models.directory / SPEC.name
    convert(SPEC, models, remove_originals=True)
    hub = make_hub(files={"README.md": b""}, others={REPO: files})
    online = models.model_copy(update={"sources": (hub.address,), "probe_seconds": 60, "stall_seconds": 60})
    (folder / "model_index.json").unlink()
    assert download(SPEC, online).fetched == 2
    assert names(models) == {NEW}

    content = bytearray((folder / NEW).read_bytes())
    content[-1] ^= 1
    (folder / NEW).write_bytes(content)
    assert not verify(SPEC, models).is_right
    assert not (folder / NEW).exists()
    download(SPEC, online)
    assert names(models) == {name for name in files if name.startswith("unet/")}


@pytest.mark.parametrize("phase", ["converting", "checking"])
def test_a_cancelled_conversion_has_changed_nothing_and_goes_on(models: ModelSettings, phase: str) -> None:
    heard: list[TransferProgress] = []
    with pytest.raises(Cancelled) as caught:
        convert(SPEC, models, heard.append, lambda: bool(heard) and heard[-1].phase == phase, True)
    assert caught.value.code == "weights.conversion_cancelled"
    assert NEW not in names(models)
    assert locate(SPEC, models).missing is None
    convert(SPEC, models, remove_originals=True)
    assert names(models) == {NEW}


def test_a_damaged_original_is_not_converted(models: ModelSettings) -> None:
    path = models.directory / SPEC.name / "unet/diffusion_pytorch_model-00001-of-00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="does not match the published checksum"):
        convert(SPEC, models, remove_originals=True)
    assert NEW not in names(models)
    assert path.exists()


def test_a_disk_that_returns_something_else_costs_no_original(
    models: ModelSettings, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "compare", lambda *_: None)
    with pytest.raises(ModelUnavailable, match="something else"):
        convert(SPEC, models, remove_originals=True)
    assert names(models) == {name for name in files if name.startswith("unet/")}


def test_a_disk_without_room_is_said_before_anything_is_written(
    models: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "free_space", lambda folder: 2**26 + 100)
    with pytest.raises(ModelUnavailable) as caught:
        convert(SPEC, models)
    assert caught.value.code == "weights.disk_full"
    assert not (models.directory / SPEC.name / RECORDS / "converting").exists()


def test_folders_of_others_and_models_that_are_not_in_float32_are_left_alone(tmp_path: Path) -> None:
    models = models_in(tmp_path / "models", search_paths=str(tmp_path / "others"))
    folder = tmp_path / "others" / SPEC.name
    for name, content in {"model_index.json": b"{}", FILE: make_weights("wide", 100)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert locate(SPEC, models).missing is None
    assert plan_conversion(SPEC, models) is None
    with pytest.raises(InvalidRequest, match="nothing to convert"):
        convert(SPEC, models)


def test_of_wan_the_transformers_weights_are_what_a_card_would_have_made_of_them(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    folder = tmp_path / WAN_TI2V_5B.name
    folder.mkdir()
    write_tiny_wan(folder)
    plan = MemoryPlan("cpu", "bfloat16")
    before = load_components(WAN_TI2V_5B, folder, plan).transformer.state_dict()
    convert(WAN_TI2V_5B, models, remove_originals=True)
    after = load_components(WAN_TI2V_5B, folder, plan).transformer.state_dict()
    assert [path.name for path in folder.glob("transformer/*.safetensors")] == [
        "diffusion_pytorch_model.bf16.safetensors"
    ]
    assert before.keys() == after.keys()
    assert all(after[name].dtype == tensor.dtype for name, tensor in before.items())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
