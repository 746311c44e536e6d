"""A repository that several models have: fetched once, linked to, and not lost with the model that has it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.weights.added import remove_folder
from i2v.weights.check import verify
from i2v.weights.download import download, plan_download
from i2v.weights.folders import is_available, own_folder
from i2v.weights.records import weights_digest
from tests.models import models_in
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.families import BASE, DRIVEN, STYLED, base_repository, make_spec, repositories, repository
from tests.weights.hub import REVISION, Hub

HALF = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub(others=repositories())


def repositories_asked(hub: Hub) -> set[str]:
    return {"/".join(sent.name.split("/")[:2]) for sent in hub.sent}


def put(folder: Path, *kinds: str) -> Path:
    """Write the base's repository as another program has it, with the weights of `kinds` alone."""
    for name, data in base_repository().items():
        if name.endswith(".json") or any(name.endswith(f"model{kind}.safetensors") for kind in kinds):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


def test_what_another_model_has_is_linked_to_and_not_fetched(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    first = download(DRIVEN, models).folder.path
    hub.sent.clear()
    plan = plan_download(STYLED, models)
    assert [part.copy for part in plan.parts] == [None, first]
    assert plan.begun == plan.linked == 600_000
    done = download(STYLED, models)
    assert repositories_asked(hub) == {"third/styled"}
    assert (done.fetched, done.notice.code) == (2, "weights.linked")
    link = done.folder.path / "base" / HALF
    assert link.is_symlink()
    assert link.resolve() == (first / HALF).resolve()
    assert verify(STYLED, models).notice.code == "weights.checked"
    after = plan_download(STYLED, models)
    assert after.begun - after.linked < 10_000, "what a removal would free: records and the first file"
    hub.sent.clear()
    assert download(STYLED, models).notice.code == "weights.already_there"


def test_a_shared_part_stays_when_the_model_that_has_it_is_removed(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    first = download(DRIVEN, models).folder.path
    digest = weights_digest(DRIVEN, first)
    download(STYLED, models)
    third = make_spec(
        "third", ("base/unet/config.json", "b.json"), repository("no/b"), repository(BASE, "base")
    )
    hub.others["no/b"] = {"b.json": b"{}"}
    download(third, models)
    styled = weights_digest(STYLED, own_folder(STYLED, models))
    remove_folder(DRIVEN, models)
    assert not first.exists()
    assert is_available(STYLED, models)
    assert is_available(third, models)
    assert weights_digest(STYLED, own_folder(STYLED, models)) == styled
    hub.sent.clear()
    again = download(DRIVEN, models).folder.path  # and is found where it is now
    assert BASE not in repositories_asked(hub)
    assert weights_digest(DRIVEN, again) == digest
    remove_folder(STYLED, models)
    remove_folder(third, models)
    assert is_available(DRIVEN, models)


@pytest.mark.parametrize(
    "place",
    [
        *(
            pytest.param(place, marks=pytest.mark.slow)
            for place in (
                "base",
                "diffusers/base",
                "someone/base",
                "models/diffusers/base",
                f"models--someone--base/snapshots/{REVISION}",
            )
        ),
        f"hub/models--someone--base/snapshots/{REVISION}",
    ],
)
def test_a_base_of_another_program_is_found_in_its_layouts_and_left_alone(
    hub: Hub, make_models: MakeModels, tmp_path: Path, place: str
) -> None:
    theirs = put(tmp_path / "place" / place, ".fp16")
    before = sorted(theirs.rglob("*"))
    models = make_models(hub, search_paths=str(tmp_path / "place"))
    assert plan_download(DRIVEN, models).parts[0].copy == theirs
    download(DRIVEN, models)
    assert repositories_asked(hub) == {"other/adapter"}
    remove_folder(DRIVEN, models)
    assert sorted(theirs.rglob("*")) == before
    assert (theirs / HALF).read_bytes() == base_repository()[HALF]


@pytest.mark.slow
def test_full_precision_that_is_here_is_taken_before_half_is_fetched(
    hub: Hub, make_models: MakeModels, tmp_path: Path
) -> None:
    put(tmp_path / "base", "")
    models = make_models(hub, search_paths=str(tmp_path))
    folder = download(DRIVEN, models).folder.path
    assert (folder / "unet/diffusion_pytorch_model.safetensors").is_symlink()
    assert repositories_asked(hub) == {"other/adapter"}
    assert verify(DRIVEN, models).is_right


def test_half_a_base_is_no_base(hub: Hub, make_models: MakeModels, tmp_path: Path) -> None:
    put(tmp_path / "base")
    models = make_models(hub, search_paths=str(tmp_path))
    assert plan_download(DRIVEN, models).parts[0].copy is None
    folder = download(DRIVEN, models).folder.path
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_base_that_goes_away_is_named_and_fetched(
    hub: Hub, make_models: MakeModels, tmp_path: Path
) -> None:
    put(tmp_path / "base", ".fp16")
    models = make_models(hub, search_paths=str(tmp_path))
    download(DRIVEN, models)
    shutil.rmtree(tmp_path / "base")
    assert not is_available(DRIVEN, models)
    done = download(DRIVEN, models)
    assert BASE in repositories_asked(hub)
    assert done.folder.missing is None
    assert not any(path.is_symlink() for path in done.folder.path.rglob("*"))


@pytest.mark.slow
def test_a_damaged_base_of_another_program_is_found_by_verify_and_replaced_in_ours_alone(
    hub: Hub, make_models: MakeModels, tmp_path: Path
) -> None:
    theirs = put(tmp_path / "base", ".fp16")
    data = base_repository()[HALF]
    (theirs / HALF).write_bytes(data[:-1] + b"?")
    models = make_models(hub, search_paths=str(tmp_path))
    folder = download(DRIVEN, models).folder.path
    checked = verify(DRIVEN, models)
    assert [file.name for file in checked.files if not file.is_right] == [HALF]
    assert not (folder / HALF).exists()
    assert (theirs / HALF).read_bytes() == data[:-1] + b"?"
    download(DRIVEN, models)
    assert (folder / HALF).read_bytes() == data, "the damaged one is not linked again"
    assert (folder / "unet/config.json").is_symlink()
    assert verify(DRIVEN, models).is_right


def test_offline_what_is_here_is_linked(hub: Hub, make_models: MakeModels, tmp_path: Path) -> None:
    put(tmp_path / "base", ".fp16")
    models = make_models(hub, search_paths=str(tmp_path), offline=True)
    with pytest.raises(ModelUnavailable) as caught:
        download(DRIVEN, models)
    assert caught.value.code == "weights.offline"
    adapter = tmp_path / "adapter"
    for name, data in repositories()["other/adapter"].items():
        adapter.mkdir(exist_ok=True)
        (adapter / name).write_bytes(data)
    done = download(DRIVEN, models)
    assert (done.fetched, done.folder.missing, done.notice.code) == (0, None, "weights.linked")
    assert hub.requests == []


@pytest.mark.slow
def test_where_nothing_can_be_linked_it_is_fetched(
    hub: Hub, make_models: MakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "base", ".fp16")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    models = make_models(hub, search_paths=str(tmp_path))
    done = download(DRIVEN, models)
    assert BASE in repositories_asked(hub)
    assert (done.folder.missing, done.notice.code) == (None, "weights.checked")


def test_a_model_of_one_repository_is_never_linked_together(tmp_path: Path) -> None:
    single = make_spec("single", ("unet/config.json", "other.json"), repository(BASE))
    put(tmp_path / "base", ".fp16")
    plan = plan_download(single, models_in(tmp_path / "models", search_paths=str(tmp_path)))
    assert [part.copy for part in plan.parts] == [None]
