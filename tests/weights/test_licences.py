"""Licences that must be accepted: asked for before anything comes, once for a revision, and on record."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.engines.registry import engines
from i2v.weights.added import remove_folder
from i2v.weights.download import download, plan_download
from i2v.weights.licences import accept, is_accepted, licence_url
from tests.models import models_in
from tests.weights import families
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.families import ADAPTER, BASE, repositories, repository

SPEC, ASKING = families.ASKING, families.ASKING.published[1]


def test_nothing_is_asked_of_a_hub_before_a_person_has_accepted(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub(others=repositories())
    models = make_models(hub)
    assert plan_download(SPEC, models).to_accept == (ASKING,)
    assert plan_download(SPEC, models).licence == "MIT, Community"
    with pytest.raises(InvalidRequest) as caught:
        download(SPEC, models)
    assert caught.value.code == "weights.licence"
    for word in ("Community (https://example.org/licence)", "i2v models download asking --accept-licence"):
        assert word in caught.value.message
    assert hub.requests == []
    assert not models.directory.exists()

    download(SPEC, models, accept_licences=True)
    row = json.loads((models.directory / ".i2v" / "licences.json").read_text())[
        f"{ADAPTER}@{ASKING.revision}"
    ]
    assert (row["licence"], row["url"]) == ("Community", "https://example.org/licence")
    age = datetime.now(UTC) - datetime.fromisoformat(row["accepted"])
    assert timedelta() <= age < timedelta(days=1)

    remove_folder(SPEC, models)
    assert plan_download(SPEC, models).to_accept == ()
    assert download(SPEC, models).folder.missing is None, "it is not asked again"


def test_another_revision_is_asked_about_again_and_a_damaged_record_too(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    accept([ASKING], models)
    assert is_accepted(ASKING, models)
    newer = replace(ASKING, revision="1" * 40)
    assert not is_accepted(newer, models)
    accept([newer], models)
    assert is_accepted(ASKING, models)
    for content in ("not json", "[]", "null"):
        (tmp_path / ".i2v" / "licences.json").write_text(content)
        assert not is_accepted(ASKING, models)


def test_a_date_is_kept_when_it_is_accepted_twice(tmp_path: Path) -> None:
    models = models_in(tmp_path)
    accept([ASKING], models)
    record = tmp_path / ".i2v" / "licences.json"
    before = record.read_text()
    accept([ASKING, repository(BASE)], models)
    assert record.read_text() == before


def test_what_is_here_already_is_not_asked_about(
    make_hub: MakeHub, make_models: MakeModels, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name, data in repositories()[ADAPTER].items():
        (adapter / name).write_bytes(data)
    models = make_models(make_hub(others=repositories()), search_paths=str(tmp_path))
    assert plan_download(SPEC, models).to_accept == ()
    assert download(SPEC, models).folder.missing is None


def test_the_page_of_the_repository_stands_in_for_a_licences_address() -> None:
    bare = replace(ASKING, licence_url="")
    assert licence_url(bare) == f"https://huggingface.co/{ADAPTER}/tree/{ASKING.revision}"


def test_i2vgen_xl_needs_no_word(tmp_path: Path) -> None:
    assert plan_download(engines()["i2vgen-xl"], models_in(tmp_path)).to_accept == ()
