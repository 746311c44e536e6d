"""Where an engine's weights are looked for, and what is said where they are not."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from i2v import weights
from i2v.engines.specs import EMBEDDED, I2VGEN_XL
from i2v.errors import ModelUnavailable
from i2v.weights import find_weights, is_available, weights_digest


def nothing(models: Path) -> None:
    models.rmdir()


def no_folder(models: Path) -> None:
    (models / "something-else").mkdir()


def a_file(models: Path) -> None:
    (models / "i2vgen-xl").touch()


def an_empty_folder(models: Path) -> None:
    (models / "i2vgen-xl").mkdir()


def a_folder_for_an_index(models: Path) -> None:
    (models / "i2vgen-xl" / "model_index.json").mkdir(parents=True)


def a_broken_link(models: Path) -> None:
    (models / "i2vgen-xl").mkdir()
    (models / "i2vgen-xl" / "model_index.json").symlink_to(models / "gone")


def a_loop(models: Path) -> None:
    (models / "i2vgen-xl").symlink_to(models / "i2vgen-xl")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_a_model_folder_is_found_by_the_engines_name(models: Path) -> None:
    folder = models / "i2vgen-xl"
    folder.mkdir()
    (folder / "model_index.json").touch()
    assert find_weights(I2VGEN_XL, models) == folder
    assert not is_available(I2VGEN_XL, models), "half a download"
    for name in I2VGEN_XL.files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert is_available(I2VGEN_XL, models)


@pytest.mark.parametrize(
    "make", [nothing, no_folder, a_file, an_empty_folder, a_folder_for_an_index, a_broken_link, a_loop]
)
def test_what_is_no_model_folder_is_named_with_the_way_to_get_one(
    models: Path, make: Callable[[Path], None]
) -> None:
    make(models)
    assert not is_available(I2VGEN_XL, models)
    with pytest.raises(ModelUnavailable) as caught:
        find_weights(I2VGEN_XL, models)
    error = caught.value
    assert error.code == "weights.missing_folder"
    assert I2VGEN_XL.title in error.message
    assert "huggingface.co/ali-vilab/i2vgen-xl" in error.message
    assert "engine: embedded" in error.message
    assert str(models)[:60] in str(error.params["path"])


def test_a_folder_that_may_not_be_entered_has_no_weights(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)  # root may enter every folder
    assert not is_available(I2VGEN_XL, models)
    with pytest.raises(ModelUnavailable):
        find_weights(I2VGEN_XL, models)


def test_a_name_that_is_too_long_is_no_folder_and_is_not_echoed() -> None:
    models = Path("/" + "x" * 5000)
    assert not is_available(I2VGEN_XL, models)
    with pytest.raises(ModelUnavailable) as caught:
        find_weights(I2VGEN_XL, models)
    assert len(caught.value.message) < 600


def test_the_embedded_weights_are_in_the_package_wherever_models_are(tmp_path: Path) -> None:
    folder = find_weights(EMBEDDED, tmp_path / "nowhere")
    assert is_available(EMBEDDED, tmp_path / "nowhere")
    assert folder == Path(weights.__file__).parent / "embedded"
    assert (folder / "model_index.json").is_file()


def test_an_installation_without_the_embedded_weights_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path)
    assert not is_available(EMBEDDED, tmp_path)
    with pytest.raises(ModelUnavailable, match="install i2v again"):
        find_weights(EMBEDDED, tmp_path)


# --- digest


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_digest_is_of_the_files_that_the_engine_reads(model: Path, tiny_folder: Path) -> None:
    digest = weights_digest(I2VGEN_XL, model)
    assert digest == weights_digest(I2VGEN_XL, tiny_folder)
    assert re.fullmatch("[0-9a-f]{64}", digest)
    (model / "README.md").write_text("not read")
    (model / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"the fp16 variant is read instead")
    assert weights_digest(I2VGEN_XL, model) == digest


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.fp16.safetensors", "unet/config.json"])
def test_one_changed_byte_changes_the_digest(model: Path, name: str) -> None:
    digest = weights_digest(I2VGEN_XL, model)
    data = bytearray((model / name).read_bytes())
    data[-2] ^= 1
    (model / name).write_bytes(data)
    assert weights_digest(I2VGEN_XL, model) != digest


def test_a_file_that_is_missing_is_named(model: Path) -> None:
    (model / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(ModelUnavailable, match=r"tokenizer/merges\.txt is missing"):
        weights_digest(I2VGEN_XL, model)


def test_large_files_are_read_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.weights._DigestCache.LARGE", 1000)
    digest = weights_digest(I2VGEN_XL, model)
    reads: list[str] = []
    real = hashlib.file_digest

    def count(file: BinaryIO, kind: str) -> object:
        reads.append(file.name)
        return real(file, kind)

    monkeypatch.setattr("hashlib.file_digest", count)
    assert weights_digest(I2VGEN_XL, model) == digest
    assert not any(name.endswith(".safetensors") for name in reads)
    unet = model / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    data = bytearray(unet.read_bytes())
    data[-1] ^= 1
    unet.write_bytes(data)
    reads.clear()
    assert weights_digest(I2VGEN_XL, model) != digest
    assert str(unet) in reads


@pytest.mark.parametrize("cache", ["not json", "[]", "null", '{"a": 1}'])
def test_a_broken_cache_is_made_anew(model: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = weights_digest(I2VGEN_XL, model)
    (model / ".i2v_sha256.json").write_text(cache)
    assert weights_digest(I2VGEN_XL, model) == digest
