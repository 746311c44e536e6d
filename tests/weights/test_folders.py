"""Where an engine's weights are looked for, and what is said where they are not."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import i2v
from i2v.core.errors import ModelUnavailable
from i2v.engines.animatediff.specs import IP_ADAPTER
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.weights import folders
from i2v.weights.folders import find_weights, inspect_folder, is_available, locate, own_folder, register
from tests.models import models_in


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
    assert find_weights(I2VGEN_XL, models_in(models)) == folder
    assert not is_available(I2VGEN_XL, models_in(models)), "half a download"
    for name in I2VGEN_XL.files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert is_available(I2VGEN_XL, models_in(models))


@pytest.mark.parametrize(
    "make", [nothing, no_folder, a_file, an_empty_folder, a_folder_for_an_index, a_broken_link, a_loop]
)
def test_what_is_no_model_folder_is_named_with_the_way_to_get_one(
    models: Path, make: Callable[[Path], None]
) -> None:
    make(models)
    assert not is_available(I2VGEN_XL, models_in(models))
    with pytest.raises(ModelUnavailable) as caught:
        find_weights(I2VGEN_XL, models_in(models))
    error = caught.value
    assert error.code == "weights.missing_folder"
    assert I2VGEN_XL.title in error.message
    assert "i2v models download i2vgen-xl" in error.message
    assert "engine to embedded" in error.message
    assert str(models)[:60] in str(error.params["path"])


def test_without_the_model_of_a_picture_it_helps_to_leave_that_out(models: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"i2v models download ip-adapter\), or leave out the picture"):
        find_weights(IP_ADAPTER, models_in(models))


def test_a_folder_that_may_not_be_entered_has_no_weights(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)  # root may enter every folder
    assert not is_available(I2VGEN_XL, models_in(models))
    with pytest.raises(ModelUnavailable):
        find_weights(I2VGEN_XL, models_in(models))


def test_a_name_that_is_too_long_is_no_folder_and_is_not_echoed() -> None:
    models = Path("/" + "x" * 5000)
    assert not is_available(I2VGEN_XL, models_in(models))
    with pytest.raises(ModelUnavailable) as caught:
        find_weights(I2VGEN_XL, models_in(models))
    assert len(caught.value.message) < 600


def test_the_embedded_weights_are_in_the_package_wherever_models_are(tmp_path: Path) -> None:
    folder = find_weights(EMBEDDED, models_in(tmp_path / "nowhere"))
    assert is_available(EMBEDDED, models_in(tmp_path / "nowhere"))
    assert folder == Path(i2v.__file__).parent / "embedded"
    assert (folder / "model_index.json").is_file()


def test_an_installation_without_the_embedded_weights_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "EMBEDDED_FOLDER", tmp_path)
    assert not is_available(EMBEDDED, models_in(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"run bash scripts/setup\.sh"):
        find_weights(EMBEDDED, models_in(tmp_path))


# --- what lies there


@pytest.fixture
def complete(models: Path) -> Path:
    """A folder in which I2VGen-XL is complete, if the embedded model's files pass for its own."""
    return Path(shutil.copytree(folders.EMBEDDED_FOLDER, models / I2VGEN_XL.name))


def test_a_complete_folder_has_every_file_and_its_size(models: Path, complete: Path) -> None:
    folder = locate(I2VGEN_XL, models_in(models))
    assert (folder.path, folder.missing, folder.origin) == (complete, None, "downloaded")
    assert len(folder.files) == len(I2VGEN_XL.files)
    assert folder.size == sum(path.stat().st_size for path in folder.files)


def test_of_each_weights_file_the_variant_that_the_engine_reads_is_counted(complete: Path) -> None:
    (plain,) = (complete / "vae").glob("*.safetensors")
    half = complete / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    full = complete / "vae" / "diffusion_pytorch_model.safetensors"
    plain.rename(full)
    before = inspect_folder(I2VGEN_XL, complete, "added")
    assert full in before.files
    half.write_bytes(b"half")
    after = inspect_folder(I2VGEN_XL, complete, "added")
    assert half in after.files
    assert full not in after.files
    assert after.size == before.size - full.stat().st_size + 4


def test_the_first_missing_file_is_named_and_what_is_there_is_counted(models: Path, complete: Path) -> None:
    for name in ("vae/config.json", "tokenizer/vocab.json"):
        (complete / name).unlink()
    folder = locate(I2VGEN_XL, models_in(models))
    assert folder.missing == complete / "tokenizer" / "vocab.json"
    assert len(folder.files) == len(I2VGEN_XL.files) - 2


@pytest.mark.parametrize("models", [Path("/nonexistent"), Path("/" + "x" * 5000)])
def test_a_folder_that_is_not_there_has_nothing(models: Path) -> None:
    folder = locate(I2VGEN_XL, models_in(models))
    assert (folder.files, folder.size) == ({}, 0)
    assert folder.missing == models / "i2vgen-xl" / "model_index.json"


# --- where others keep it

REVISION = I2VGEN_XL.published[0].revision


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ("here", "."),
        ("here", "i2vgen-xl"),
        ("here", "ali-vilab/i2vgen-xl"),
        ("hub", f"models--ali-vilab--i2vgen-xl/snapshots/{REVISION}"),
        ("hub", "models--ali-vilab--i2vgen-xl/snapshots/0123456789abcdef0123456789abcdef01234567"),
        ("huggingface", f"hub/models--ali-vilab--i2vgen-xl/snapshots/{REVISION}"),
        ("modelscope", "models/ali-vilab/i2vgen-xl"),
        ("ComfyUI", "models/diffusers/i2vgen-xl"),
        ("ComfyUI/models", "diffusers/i2vgen-xl"),
    ],
)
def test_a_folder_of_another_program_is_found_and_left_alone(
    place: str, model: str, complete: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere" / place / model
    folder.parent.mkdir(parents=True, exist_ok=True)
    complete.rename(folder)
    before = sorted(folder.rglob("*"))
    models = models_in(tmp_path / "empty", search_paths=(tmp_path / "elsewhere" / place,))
    found = locate(I2VGEN_XL, models)
    assert (found.path, found.missing, found.origin) == (folder, None, "found")
    assert find_weights(I2VGEN_XL, models) == found.path
    assert sorted(folder.rglob("*")) == before
    assert not (tmp_path / "empty").exists()
    if place == "hub":
        models = models_in(tmp_path / "empty", hub_cache=tmp_path / "elsewhere" / place)
        assert is_available(I2VGEN_XL, models)


def test_half_a_folder_of_another_program_is_no_model(complete: Path, tmp_path: Path) -> None:
    (complete / "unet" / "config.json").unlink()
    models = models_in(tmp_path / "empty", search_paths=(complete,))
    assert locate(I2VGEN_XL, models).path == own_folder(I2VGEN_XL, models)


def test_an_added_folder_goes_before_our_own_unless_it_is_gone(complete: Path, tmp_path: Path) -> None:
    models = models_in(complete.parent)
    added = Path(shutil.copytree(complete, tmp_path / "a folder\n\udcff"))
    register(I2VGEN_XL, models, added)
    assert locate(I2VGEN_XL, models).path == added
    shutil.rmtree(added)
    assert locate(I2VGEN_XL, models).path == complete
    shutil.rmtree(complete)
    gone = locate(I2VGEN_XL, models)
    assert (gone.path, gone.origin) == (added, "added"), "it is the one that was asked for"


@pytest.mark.parametrize("content", ["not json", "[]", "null", "{}", '{"folder": 3}'])
def test_a_damaged_registration_is_none(content: str, complete: Path) -> None:
    models = models_in(complete.parent)
    register(I2VGEN_XL, models, Path("/x"))
    (path,) = complete.parent.glob("*.json")
    assert json.loads(path.read_text()) == {"folder": "/x"}
    path.write_text(content)
    assert locate(I2VGEN_XL, models).path == complete


def test_asking_costs_next_to_nothing(tmp_path: Path) -> None:
    """It is asked before every plan. Measured: 1 ms; the limit leaves room for a busy machine."""
    models = models_in(tmp_path, search_paths=tuple(tmp_path / str(n) for n in range(5)))
    start = time.process_time()
    for _ in range(100):
        is_available(I2VGEN_XL, models)
    assert (time.process_time() - start) / 100 < 0.02


def test_a_folder_that_vanishes_while_files_are_listed_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "goes").mkdir()
    (tmp_path / "goes" / "part").touch()
    (tmp_path / "stays").symlink_to("nowhere")
    list_folder = os.scandir

    def list_late(folder: str) -> Iterator[os.DirEntry[str]]:
        if folder == str(tmp_path / "goes"):
            (tmp_path / "goes" / "part").unlink()
            (tmp_path / "goes").rmdir()
        return list_folder(folder)

    monkeypatch.setattr("os.scandir", list_late)
    assert folders.files_below(tmp_path) == [tmp_path / "stays"]
    assert not (tmp_path / "goes").exists()
