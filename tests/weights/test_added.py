"""Adding and removing: nothing is copied, and nothing of others is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest, ModelUnavailable
from i2v.doctor.product import check_weights
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.pipeline.choice import as_stored
from i2v.weights import EMBEDDED_FOLDER
from i2v.weights.added import add_folder, can_be_added, removable, remove_folder, which_fits
from i2v.weights.check import check_folder
from i2v.weights.converted import converted_files
from i2v.weights.folders import find_weights, locate, own_folder, register
from scripts.full_size.layout import read_table
from scripts.full_size.write import write_model
from tests.contrary import CONTRARY
from tests.models import models_in
from tests.tiny_wan import write_tiny_wan
from tests.weights.families import BASE_FILES, DRIVEN, SHARDED, base_repository, make_spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The published layout at full size; the values are holes in the files."""
    write_model(tmp_path / "mount" / "i2vgen-xl", None, read_table())
    return tmp_path / "mount" / "i2vgen-xl"


@pytest.mark.parametrize("given", [".", ".."])
def test_an_added_folder_is_used_where_it_is(folder: Path, tmp_path: Path, given: str) -> None:
    models = models_in(tmp_path / "models")
    assert add_folder(I2VGEN_XL, models, folder / given).resolve() == folder
    assert find_weights(I2VGEN_XL, models).resolve() == folder
    assert sum(path.stat().st_size for path in models.directory.rglob("*")) < 10_000
    removed = remove_folder(I2VGEN_XL, models)
    assert removed.origin == "added"
    assert (folder / "model_index.json").is_file()
    assert locate(I2VGEN_XL, models).missing is not None


def test_a_folder_that_does_not_fit_is_not_added(folder: Path, tmp_path: Path) -> None:
    models = models_in(tmp_path / "models")
    (folder / "unet" / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"unet/config\.json is missing"):
        add_folder(I2VGEN_XL, models, folder)
    with pytest.raises(ModelUnavailable):
        add_folder(I2VGEN_XL, models, EMBEDDED_FOLDER)
    assert locate(I2VGEN_XL, models).origin == "downloaded"


def test_our_own_folder_is_deleted_and_nothing_beside_it(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    shutil.copytree(EMBEDDED_FOLDER, own_folder(I2VGEN_XL, models))
    (tmp_path / "another").mkdir()
    assert removable(I2VGEN_XL, models).size > 10**7
    assert remove_folder(I2VGEN_XL, models).path == tmp_path / "i2vgen-xl"
    assert {path.name for path in tmp_path.iterdir()} == {"another", ".i2vgen-xl.lock"}


def test_of_a_link_to_somebody_elses_folder_only_the_link_is_deleted(tmp_path: Path) -> None:
    models = models_in(tmp_path / "models")
    models.directory.mkdir()
    shutil.copytree(EMBEDDED_FOLDER, tmp_path / "theirs")
    own_folder(I2VGEN_XL, models).symlink_to(tmp_path / "theirs")
    remove_folder(I2VGEN_XL, models)
    assert (tmp_path / "theirs" / "model_index.json").is_file()
    assert not own_folder(I2VGEN_XL, models).is_symlink()


def test_a_folder_that_was_only_found_is_never_deleted(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_FOLDER, tmp_path / "mount" / "i2vgen-xl")
    models = models_in(tmp_path / "models", search_paths=str(tmp_path / "mount"))
    with pytest.raises(InvalidRequest) as caught:
        remove_folder(I2VGEN_XL, models)
    assert caught.value.code == "weights.not_ours"
    assert (tmp_path / "mount" / "i2vgen-xl" / "model_index.json").is_file()


def test_what_is_not_there_or_part_of_i2v_cannot_be_removed(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    with pytest.raises(InvalidRequest) as caught:
        remove_folder(I2VGEN_XL, models)
    assert caught.value.code == "weights.nothing_to_remove"
    with pytest.raises(InvalidRequest) as caught:
        remove_folder(EMBEDDED, models)
    assert caught.value.code == "weights.not_published"


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_model_that_is_published_nowhere_can_be_added(tmp_path: Path) -> None:
    own = make_spec("own", BASE_FILES)
    models = models_in(tmp_path / "models")
    with pytest.raises(ModelUnavailable, match="i2v models add own FOLDER"):
        find_weights(own, models)
    folder = write(tmp_path / "x", base_repository(1000))
    assert add_folder(own, models, folder) == folder
    assert find_weights(own, models) == folder
    assert remove_folder(own, models).origin == "added"


def test_the_only_model_that_can_be_added_needs_no_name(tmp_path: Path) -> None:
    bare = make_spec("bare", ())
    assert [can_be_added(spec) for spec in (EMBEDDED, bare, I2VGEN_XL)] == [False, False, True]
    assert which_fits([EMBEDDED, bare, I2VGEN_XL], tmp_path / "nowhere") is I2VGEN_XL


def test_a_folder_is_of_the_model_whose_pipeline_it_names_and_that_it_is_complete_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", base_repository(1000))
    based = make_spec("based", BASE_FILES, pipelines=("BasePipeline",))
    larger = make_spec("larger", (*BASE_FILES, "more.json"), pipelines=("BasePipeline",))
    twin = make_spec("twin", BASE_FILES, pipelines=("BasePipeline",))
    assert which_fits([I2VGEN_XL, SHARDED, based], folder) is based
    assert which_fits([based, larger], folder) is based
    assert which_fits([larger, I2VGEN_XL], folder) is larger, "what it lacks is said when it is added"
    assert which_fits([DRIVEN, SHARDED, based], tmp_path / "x") is based
    for specs, allowed in (([based, twin, I2VGEN_XL], "based, twin"), ([I2VGEN_XL, twin], None)):
        if allowed is None:
            (folder / "model_index.json").write_text("{}")
        with pytest.raises(InvalidRequest) as caught:
            which_fits(specs, folder)
        assert caught.value.code == "weights.which_model"
        assert caught.value.params["allowed"] == (allowed or "i2vgen-xl, twin")


def test_an_engine_without_weights_has_nothing_to_add_or_remove(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    for act in (lambda: remove_folder(CONTRARY, models), lambda: add_folder(CONTRARY, models, tmp_path)):
        with pytest.raises(InvalidRequest) as caught:
            act()
        assert caught.value.code == "weights.none_needed"


def test_a_gguf_file_is_linked_to_and_stands_for_the_weights(tmp_path: Path) -> None:
    models, comfy = models_in(tmp_path / "models"), tmp_path / "ComfyUI/models/unet"
    comfy.mkdir(parents=True)
    for name in ("Q8.gguf", "Q4.gguf"):
        (comfy / name).write_bytes(b"GGUF")
    with pytest.raises(InvalidRequest, match="no weights that can be read from one"):
        add_folder(I2VGEN_XL, models, comfy / "Q8.gguf")
    link = tmp_path / "models/wan-ti2v-5b/transformer/Q4.gguf"
    for name in ("Q8.gguf", "Q4.gguf"):
        add_folder(WAN_TI2V_5B, models, comfy / name)
    assert list(link.parent.iterdir()) == [link], "the earlier one is replaced"
    assert link.resolve() == (comfy / "Q4.gguf").resolve()
    assert list(converted_files(WAN_TI2V_5B, models)) == list(WAN_TI2V_5B.gguf_files), "not to be fetched"
    assert which_fits([I2VGEN_XL, WAN_TI2V_5B, WAN_I2V_A14B], comfy / "Q4.gguf") is WAN_TI2V_5B
    remove_folder(WAN_TI2V_5B, models)
    assert (comfy / "Q4.gguf").exists()


def test_of_two_experts_the_name_says_whose_a_gguf_file_is(tmp_path: Path) -> None:
    models, folder = models_in(tmp_path / "models"), tmp_path / "models" / WAN_I2V_A14B.name
    for name in ("Wan2.2-I2V-A14B-HighNoise-Q4_K_M.gguf", "wan2.2_i2v_LOW_Q8.gguf", "Q4.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    high, low, neither = tmp_path.glob("*High*"), tmp_path.glob("*LOW*"), tmp_path / "Q4.gguf"
    for part, (file,) in (("transformer", high), ("transformer_2", low)):
        assert which_fits([I2VGEN_XL, WAN_TI2V_5B, WAN_I2V_A14B], file) is WAN_I2V_A14B
        assert add_folder(WAN_I2V_A14B, models, file) == folder / part / file.name
        with pytest.raises(InvalidRequest) as of_one:
            add_folder(WAN_TI2V_5B, models, file)
        assert of_one.value.code == "weights.gguf_of_an_expert"
    assert list(converted_files(WAN_I2V_A14B, models)) == list(WAN_I2V_A14B.gguf_files), "not to be fetched"
    with pytest.raises(InvalidRequest) as unknown:
        add_folder(WAN_I2V_A14B, models, neither)
    assert unknown.value.code == "weights.gguf_whose"


def test_without_the_package_a_gguf_is_said_before_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, spec = models_in(tmp_path), WAN_TI2V_5B
    folder = tmp_path / spec.name
    folder.mkdir()
    write_tiny_wan(folder)
    (folder / "transformer/Q4.gguf").write_bytes(b"GGUF")
    assert as_stored(spec, models).stored_bytes == {"transformer": 4}
    monkeypatch.setattr("i2v.weights.parts.find_spec", lambda name: None)
    for check in (lambda: check_folder(spec, folder), lambda: as_stored(spec, models)):
        with pytest.raises(ModelUnavailable) as caught:
            check()
        assert caught.value.code == "weights.no_gguf"
    (finding,) = check_weights([spec], models, spec.name, "warning")
    assert finding.found.code == "weights.no_gguf"


def test_what_is_no_gguf_or_cannot_be_read_here_is_refused_and_nothing_is_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, file = models_in(tmp_path / "models"), tmp_path / "Q4.gguf"
    file.write_bytes(b"<html>")
    with pytest.raises(InvalidRequest) as no_gguf:
        add_folder(WAN_TI2V_5B, models, file)
    assert no_gguf.value.code == "weights.not_gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setattr("i2v.weights.added.find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable) as unread:
        add_folder(WAN_TI2V_5B, models, file)
    assert unread.value.code == "weights.no_gguf"
    assert not (tmp_path / "models").exists()


def test_a_gguf_file_for_a_model_in_anothers_folder_is_refused(tmp_path: Path) -> None:
    models, folder = models_in(tmp_path / "models"), tmp_path / "elsewhere"
    folder.mkdir()
    write_tiny_wan(folder)
    (tmp_path / "Q4.gguf").write_bytes(b"GGUF")
    register(WAN_TI2V_5B, models, folder)
    with pytest.raises(InvalidRequest) as caught:
        add_folder(WAN_TI2V_5B, models, tmp_path / "Q4.gguf")
    assert (caught.value.code, caught.value.params["part"]) == ("weights.gguf_elsewhere", "transformer")
