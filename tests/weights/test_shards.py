"""Weights in shards: found by their index, whichever variant, and never outside the index's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.weights.check import check_folder, verify
from i2v.weights.download import download
from i2v.weights.folders import find_weights, is_available, locate, own_folder
from i2v.weights.records import known_digest, records_folder, weights_digest
from i2v.weights.shards import is_index, missing_file, select_listed, stored_files
from tests.models import models_in
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.families import SHARDED, make_shards, sharded_repository

NAME = "transformer/model.safetensors"
INDEX = "transformer/model.safetensors.index.json"
SHARDS = [f"transformer/model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
HALVES = [f"transformer/model.fp16-0000{n}-of-00002.safetensors" for n in (1, 2)]
HALF_INDEX = "transformer/model.safetensors.index.fp16.json"


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def plain() -> dict[str, bytes]:
    """A folder with full-precision shards alone."""
    files = sharded_repository()
    return {name: data for name, data in files.items() if "fp16" not in name}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "models" / "sharded", plain())


# --- in a folder


def names(folder: Path, variant: str = "fp16") -> list[str]:
    return [path.relative_to(folder).as_posix() for path in stored_files(folder, NAME, variant).files]


def test_shards_stand_for_the_file_and_are_counted(folder: Path, tmp_path: Path) -> None:
    assert names(folder) == [INDEX, *SHARDS]
    found = locate(SHARDED, models_in(tmp_path / "models"))
    assert (found.path, found.missing) == (folder, None)
    assert found.size == sum(map(len, plain().values()))


def test_the_variant_goes_first_and_one_file_goes_before_shards(folder: Path) -> None:
    write(folder, make_shards("transformer/model", 2, 1000, "fp16"))
    assert names(folder) == [HALF_INDEX, *HALVES]
    assert names(folder, variant="") == [INDEX, *SHARDS]
    write(folder, {NAME: b"one"})
    assert names(folder, variant="") == [NAME]
    write(folder, {"transformer/model.fp16.safetensors": b"half"})
    assert names(folder) == ["transformer/model.fp16.safetensors"]


def test_half_of_a_variant_does_not_hide_what_is_whole(folder: Path) -> None:
    write(folder, make_shards("transformer/model", 2, 1000, "fp16"))
    (folder / HALVES[1]).unlink()
    assert names(folder) == [INDEX, *SHARDS]


def test_a_missing_shard_is_named_wherever_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    models = models_in(tmp_path / "models")
    (folder / SHARDS[1]).unlink()
    found = locate(SHARDED, models)
    assert found.missing == folder / SHARDS[1]
    assert folder / SHARDS[2] in found.files
    assert not is_available(SHARDED, models)
    for ask in (lambda: check_folder(SHARDED, folder), lambda: weights_digest(SHARDED, folder)):
        with pytest.raises(ModelUnavailable) as caught:
            ask()
        assert (caught.value.code, caught.value.params["path"]) == (
            "weights.missing_file", str(folder / SHARDS[1])
        )  # fmt: skip


def with_map(weight_map: object) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


@pytest.mark.parametrize(
    "content",
    [
        with_map({"w": "../../secret.safetensors"}),
        with_map({"w": "/etc/secret.safetensors"}),
        with_map({"w": "below/model-00001-of-00001.safetensors"}),
        with_map({"w": ".."}),
        with_map({"w": "..\\secret.safetensors"}),
        with_map({"w": "pickle.bin"}),
        with_map({"w": 3}),
        with_map({}),
        with_map([]),
        b"[]",
        b"not json",
        b"\xff",
    ],
)
def test_an_index_that_leads_out_of_its_folder_or_nowhere_is_refused(
    folder: Path, tmp_path: Path, content: bytes
) -> None:
    models = models_in(tmp_path / "models")
    write(tmp_path / "models", {"secret.safetensors": b"x"})
    (folder / INDEX).write_bytes(content)
    assert not is_available(SHARDED, models)
    assert locate(SHARDED, models).missing == folder / INDEX
    for ask in (
        lambda: find_weights(SHARDED, models),
        lambda: check_folder(SHARDED, folder),
        lambda: weights_digest(SHARDED, folder),
    ):
        with pytest.raises(ModelUnavailable) as caught:
            ask()
        assert (caught.value.code, caught.value.params["path"]) == ("weights.bad_index", str(folder / INDEX))
    assert known_digest(SHARDED, folder, tmp_path) is None


def test_an_index_is_read_again_when_it_has_changed(folder: Path) -> None:
    assert names(folder) == [INDEX, *SHARDS]
    (folder / INDEX).write_bytes(with_map({"w": Path(SHARDS[0]).name}))
    assert names(folder) == [INDEX, SHARDS[0]]


def test_what_is_missing_and_no_index_is_called_missing(tmp_path: Path) -> None:
    assert missing_file(SHARDED, tmp_path / INDEX).code == "weights.missing_file"
    assert is_index(INDEX)
    assert is_index(HALF_INDEX)
    assert is_index("a.safetensors.fp16.index.json")
    assert not is_index("model_index.json")


def test_headers_of_all_shards_are_checked_against_the_index(folder: Path) -> None:
    check_folder(SHARDED, folder)
    content = json.loads((folder / INDEX).read_bytes())
    content["weight_map"]["gone"] = Path(SHARDS[2]).name
    (folder / INDEX).write_text(json.dumps(content))
    with pytest.raises(ModelUnavailable) as caught:
        check_folder(SHARDED, folder)
    assert (caught.value.code, caught.value.params["tensor"]) == ("weights.missing_tensor", "gone")
    (folder / SHARDS[2]).write_bytes(b"<html>")
    with pytest.raises(ModelUnavailable) as caught:
        check_folder(SHARDED, folder)
    assert (caught.value.code, caught.value.params["path"]) == ("weights.unreadable", str(folder / SHARDS[2]))


def test_the_digest_is_of_the_index_and_every_shard(folder: Path) -> None:
    digest = weights_digest(SHARDED, folder)
    for name in (SHARDS[2], INDEX):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + (b" " if name == INDEX else b"?"))
        if name == INDEX:
            (folder / name).write_bytes(data + b" ")
        assert weights_digest(SHARDED, folder) != digest
        (folder / name).write_bytes(data)
    (folder / "transformer" / "model-00004-of-00004.safetensors").write_bytes(b"not in the index")
    assert weights_digest(SHARDED, folder) == digest


# --- in a listing


def test_only_one_variant_is_selected_and_shards_by_their_index() -> None:
    listed = sharded_repository().keys()
    assert select_listed(listed, NAME, "fp16") == [HALF_INDEX, *HALVES]
    assert select_listed(listed, NAME, "") == [INDEX, *SHARDS]
    assert select_listed({*listed, "transformer/model.fp16.safetensors"}, NAME, "fp16") == [
        "transformer/model.fp16.safetensors"
    ]


def test_the_older_names_of_variants_are_known() -> None:
    older = ["a/m.safetensors.fp16.index.json", "a/m-00001-of-00001.fp16.safetensors"]
    assert select_listed([*older, "a/m-00001-of-00001.safetensors"], "a/m.safetensors", "fp16") == older


def test_a_shard_that_is_not_listed_is_named() -> None:
    listed = plain().keys() - {SHARDS[1]}
    with pytest.raises(LookupError) as caught:
        select_listed(listed, NAME, "fp16")
    assert caught.value.args == (SHARDS[1],)
    with pytest.raises(LookupError):
        select_listed([INDEX], NAME, "fp16")


# --- from a hub


def test_shards_are_fetched_in_one_variant_checked_and_verified(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    files = sharded_repository()
    hub = make_hub(others={"someone/sharded": files})
    models = make_models(hub)
    done = download(SHARDED, models)
    folder = done.folder.path
    wanted = {"model_index.json", "transformer/config.json", HALF_INDEX, *HALVES}
    assert {path.relative_to(folder).as_posix() for path in done.folder.files} == wanted
    assert {sent.name.removeprefix("someone/sharded/") for sent in hub.sent} == wanted
    assert done.notice.code == "weights.checked"
    assert weights_digest(SHARDED, folder, records_folder(folder, models)) == weights_digest(SHARDED, folder)
    assert {file.name: file.how for file in verify(SHARDED, models).files}[HALVES[1]] == "sha256"

    (folder / HALVES[1]).write_bytes(files[HALVES[1]][:-1] + b"?")
    (folder / HALVES[0]).unlink()
    checked = verify(SHARDED, models)
    assert {file.name for file in checked.files if not file.is_right} == set(HALVES)
    hub.sent.clear()
    download(SHARDED, models)
    assert {sent.name.removeprefix("someone/sharded/") for sent in hub.sent} == set(HALVES)
    assert verify(SHARDED, models).is_right


def test_a_published_index_that_leads_out_of_its_folder_is_not_kept(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.weights.fetching.PAUSES", (0.1,))
    files = plain() | {INDEX: with_map({"w": "../../../escape.safetensors"})}
    models = make_models(make_hub(others={"someone/sharded": files}))
    with pytest.raises(ModelUnavailable) as caught:
        download(SHARDED, models)
    assert caught.value.code == "weights.no_source"
    assert "escape.safetensors" in caught.value.message
    assert not (own_folder(SHARDED, models) / INDEX).exists()
