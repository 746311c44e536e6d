"""workers.cluster.shelf: which files a machine may have of the server, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.model_spec import Repository
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import Files, Refused, Wanted
from tests.models import models_in
from tests.rehearsal import REHEARSAL, write_model


@pytest.mark.parametrize("name", ["../secret", "secret", "/etc/passwd", ".i2v/digests.json"])
def test_nothing_but_weights_is_given(tmp_path: Path, name: str) -> None:
    write_model(tmp_path)
    (tmp_path / "models/secret").write_text("x")
    (tmp_path / "models" / REHEARSAL.name / "secret").write_text("x")
    shelf = Shelf(models_in(tmp_path / "models"), {REHEARSAL.name: REHEARSAL})
    listed = shelf.answer(Wanted(REHEARSAL.name), lambda: None)
    assert isinstance(listed, Files)
    assert set(listed.files) == {"model_index.json"}
    assert shelf.answer(Wanted(REHEARSAL.name, "model_index.json", 0, 9), lambda: None) == b'""'
    assert isinstance(shelf.answer(Wanted(REHEARSAL.name, name, 0, 9), lambda: None), Refused)
    assert isinstance(shelf.answer(Wanted("unknown"), lambda: None), Refused)


def test_what_the_server_lacks_comes_from_the_hubs_if_it_is_published(tmp_path: Path) -> None:
    there = Repository("owner/rehearsal", "abc", (), 1, "licence", must_accept=True)
    published = replace(REHEARSAL, name="published", published=(there,))
    engines = {spec.name: spec for spec in (REHEARSAL, published)}
    shelf = Shelf(models_in(tmp_path / "models"), engines)
    assert shelf.errand(REHEARSAL.name) is None
    assert shelf.errand("unknown") is None
    errand = shelf.errand("published")
    assert errand is not None
    assert (errand.from_server, errand.is_accepted) == (False, False)
