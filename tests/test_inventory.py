"""What is told of a model folder: real files, their sizes, and the first that is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from i2v.engines.specs import EMBEDDED, I2VGEN_XL
from i2v.inventory import inspect_folder
from i2v.weights import EMBEDDED as EMBEDDED_FOLDER


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models in which I2VGen-XL is complete, if the embedded model's files pass for its own."""
    shutil.copytree(EMBEDDED_FOLDER, tmp_path / I2VGEN_XL.name)
    return tmp_path


def test_a_complete_folder_has_every_file_and_its_size(models: Path) -> None:
    folder = inspect_folder(I2VGEN_XL, models)
    assert folder.missing is None
    assert folder.path == models / "i2vgen-xl"
    assert len(folder.files) == len(I2VGEN_XL.files)
    assert folder.size == sum(path.stat().st_size for path in folder.files)
    assert inspect_folder(EMBEDDED, models / "nowhere").path == EMBEDDED_FOLDER


def test_of_each_weights_file_the_variant_that_the_engine_reads_is_counted(models: Path) -> None:
    vae = models / "i2vgen-xl" / "vae"
    (plain,) = vae.glob("*.safetensors")
    half = vae / "diffusion_pytorch_model.fp16.safetensors"
    full = vae / "diffusion_pytorch_model.safetensors"
    plain.rename(full)
    before = inspect_folder(I2VGEN_XL, models)
    assert full in before.files
    half.write_bytes(b"half")
    after = inspect_folder(I2VGEN_XL, models)
    assert half in after.files
    assert full not in after.files
    assert after.size == before.size - full.stat().st_size + 4


def test_the_first_missing_file_is_named_and_what_is_there_is_counted(models: Path) -> None:
    for name in ("vae/config.json", "tokenizer/vocab.json"):
        (models / "i2vgen-xl" / name).unlink()
    folder = inspect_folder(I2VGEN_XL, models)
    assert folder.missing == models / "i2vgen-xl" / "tokenizer" / "vocab.json"
    assert len(folder.files) == len(I2VGEN_XL.files) - 2


@pytest.mark.parametrize("models", [Path("/nonexistent"), Path("/" + "x" * 5000)])
def test_a_folder_that_is_not_there_has_nothing(models: Path) -> None:
    folder = inspect_folder(I2VGEN_XL, models)
    assert folder.files == {}
    assert folder.size == 0
    assert folder.missing == models / "i2vgen-xl" / "model_index.json"
