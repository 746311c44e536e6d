"""Does a folder fit, and are its files what the hub says: full-size folders without values, and downloads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from i2v.core.errors import Cancelled, ModelUnavailable
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.weights import EMBEDDED_FOLDER
from i2v.weights.check import check_folder, verify
from i2v.weights.download import download
from i2v.weights.folders import is_available, own_folder
from scripts.full_size import animatediff, svd, wan, wan_a14b
from scripts.full_size.layout import MODEL_INDEX, read_table
from scripts.full_size.write import write_model
from tests.models import models_in
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.hub import git_sha1, make_files, wanted

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
CONFIG = "vae/config.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout at full size; the values are holes in the files."""
    folder = tmp_path_factory.mktemp("published") / "i2vgen-xl"
    write_model(folder, None, read_table())
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The same, to be damaged: its large files are links."""
    copied = shutil.copytree(published, tmp_path / "i2vgen-xl", copy_function=os.symlink)
    for path in Path(copied).rglob("*.json"):
        shutil.copy(path.resolve(), path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    return Path(copied)


# --- does it fit


def test_the_published_layout_fits(folder: Path) -> None:
    check_folder(I2VGEN_XL, folder)


def refusal(folder: Path) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        check_folder(I2VGEN_XL, folder)
    return caught.value


def test_a_folder_that_does_not_fit_is_refused_by_file_and_tensor(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / UNET).symlink_to(folder / "vae" / Path(UNET).name)
    error = refusal(folder)
    assert error.code == "weights.missing_tensor"
    assert error.params["path"] == str(folder / UNET)
    (folder / UNET).unlink()
    error = refusal(folder)
    assert (error.code, error.params["path"]) == (
        "weights.missing_file",
        str(folder / "unet" / "diffusion_pytorch_model.safetensors"),
    )


def test_another_pipelines_folder_is_refused(folder: Path) -> None:
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableVideoDiffusionPipeline"}))
    assert refusal(folder).code == "weights.wrong_class"
    for words in ("not json", "[]"):
        (folder / "model_index.json").write_text(words)
        assert refusal(folder).code == "weights.unreadable"


def test_vgens_original_checkpoints_are_told_apart_with_the_way_to_the_right_files(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "i2vgen_xl_00854500.pth").write_bytes(b"pickle")
    error = refusal(tmp_path)
    assert error.code == "weights.vgen_original"
    assert "i2vgen_xl_00854500.pth" in error.message
    assert "i2v models download i2vgen-xl" in error.message


def test_a_pickle_in_the_place_of_safetensors_is_refused(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    error = refusal(folder)
    assert error.code == "weights.pickle"
    assert str(error.params["path"]).endswith("unet/diffusion_pytorch_model.bin")


def test_what_is_no_folder_or_no_model_is_reported(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").code == "weights.no_folder"
    assert refusal(tmp_path).code == "weights.no_index"


# --- is it what the hub says


def test_what_was_fetched_is_verified_by_what_the_hub_told_without_asking_again(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub()
    models = make_models(hub)
    download(I2VGEN_XL, models)
    hub.requests.clear()
    done = verify(I2VGEN_XL, models)
    assert done.is_right
    assert (done.hash_source, done.notice.code) == (hub.address, "weights.checked")
    assert {file.name: file.how for file in done.files}[UNET] == "sha256"
    assert {file.name: file.how for file in done.files}[CONFIG] == "git-sha1"
    assert hub.requests == []


def test_a_bad_file_of_ours_is_named_not_loaded_and_fetched_again(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub()
    models = make_models(hub)
    folder = download(I2VGEN_XL, models).folder.path
    for name in (UNET, CONFIG):
        data = bytearray((folder / name).read_bytes())
        data[5] ^= 1
        (folder / name).write_bytes(data)
    (folder / "tokenizer" / "merges.txt").unlink()
    done = verify(I2VGEN_XL, models)
    assert not done.is_right
    assert {file.name for file in done.files if not file.is_right} == {UNET, CONFIG, "tokenizer/merges.txt"}
    assert done.notice.code == "weights.bad_files"
    assert not is_available(I2VGEN_XL, models)
    hub.sent.clear()
    download(I2VGEN_XL, models)
    assert hub.names() == {UNET, CONFIG, "tokenizer/merges.txt"}
    assert verify(I2VGEN_XL, models).is_right


def test_a_hugging_face_cache_is_held_to_the_hashes_that_name_its_blobs(tmp_path: Path) -> None:
    files = wanted(make_files())
    repo = tmp_path / "models--ali-vilab--i2vgen-xl"
    snapshot = repo / "snapshots" / I2VGEN_XL.published[0].revision
    (repo / "blobs").mkdir(parents=True)
    for name, data in files.items():
        etag = hashlib.sha256(data).hexdigest() if name.endswith(".safetensors") else git_sha1(data)
        (repo / "blobs" / etag).write_bytes(data)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(repo / "blobs" / etag)
    models = models_in(tmp_path / "models", hub_cache=tmp_path)
    done = verify(I2VGEN_XL, models)
    assert done.is_right
    assert (done.hash_source, done.notice.code) == ("huggingface_hub", "weights.checked")
    blob = (snapshot / UNET).resolve()
    blob.write_bytes(files[UNET][:-1] + b"!")
    done = verify(I2VGEN_XL, models)
    assert [file.name for file in done.files if not file.is_right] == [UNET]
    assert blob.is_file(), "it is not ours to remove"


def test_a_folder_that_huggingface_hub_made_is_held_to_its_notes(
    make_hub: MakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by the library itself, so that the test notices if it notes in another way one day."""
    from huggingface_hub import hf_hub_download

    hub = make_hub()
    names = wanted(hub.files)
    published = I2VGEN_XL.published[0]
    for name in names:
        hf_hub_download(
            published.repo, name, revision=published.revision, endpoint=hub.address,
            local_dir=tmp_path / "i2vgen-xl", token=False,
        )  # fmt: skip
    models = models_in(tmp_path / "empty", search_paths=str(tmp_path))
    done = verify(I2VGEN_XL, models)
    assert done.is_right
    assert done.hash_source == "huggingface_hub"
    assert {file.how for file in done.files} == {"sha256", "git-sha1"}


def test_of_a_folder_without_records_the_hub_is_asked(
    make_hub: MakeHub, make_models: MakeModels, tmp_path: Path
) -> None:
    hub = make_hub()
    models = make_models(hub, search_paths=str(tmp_path))
    for name, data in wanted(hub.files).items():
        (tmp_path / "i2vgen-xl" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "i2vgen-xl" / name).write_bytes(data)
    before = sorted((tmp_path / "i2vgen-xl").rglob("*"))
    offline = verify(I2VGEN_XL, make_models(hub, search_paths=str(tmp_path), offline=True))
    assert (offline.is_right, offline.hash_source, offline.notice.code) == (True, None, "weights.size_only")
    assert hub.requests == []
    assert verify(I2VGEN_XL, models).notice.code == "weights.checked"
    assert verify(I2VGEN_XL, models).hash_source == hub.address
    assert sorted((tmp_path / "i2vgen-xl").rglob("*")) == before
    (tmp_path / "i2vgen-xl" / UNET).write_bytes(hub.files[UNET][:-2])
    assert not verify(I2VGEN_XL, models).is_right


def test_without_hashes_a_file_that_is_cut_short_is_found(make_models: MakeModels) -> None:
    models = make_models()
    folder = own_folder(I2VGEN_XL, models)
    files = wanted(make_files())
    files[UNET] = files[UNET][:-2]
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    done = verify(I2VGEN_XL, models)
    assert [file.name for file in done.files if not file.is_right] == [UNET]


def test_the_embedded_model_can_be_read_whole(make_models: MakeModels) -> None:
    assert verify(EMBEDDED, make_models()).is_right


def test_no_model_is_reported_with_the_way_to_one(make_models: MakeModels) -> None:
    with pytest.raises(ModelUnavailable, match="i2v models download i2vgen-xl"):
        verify(I2VGEN_XL, make_models())


def test_verifying_can_be_stopped(make_models: MakeModels) -> None:
    with pytest.raises(Cancelled):
        verify(EMBEDDED, make_models(), cancelled=lambda: True)


_TABLES = {
    "svd": svd, "animatediff": animatediff, "animatediff-distilled": animatediff, "wan-ti2v-5b": wan,
    "wan-i2v-a14b": wan_a14b,
}  # fmt: skip


@pytest.mark.parametrize("name", engines())
def test_every_engine_is_of_the_pipeline_that_is_checked(name: str) -> None:
    embedded = json.loads((EMBEDDED_FOLDER / "model_index.json").read_text())["_class_name"]
    assert embedded == MODEL_INDEX["_class_name"]
    spec = engines()[name]
    of_tables = {each: module.MODEL_INDEX["_class_name"] for each, module in _TABLES.items()}
    expected = of_tables.get(spec.tensor_table, embedded)
    assert spec.pipelines == ((expected,) if spec.files else ())
    assert spec.files[:1] == (("model_index.json",) if spec.files else ())
