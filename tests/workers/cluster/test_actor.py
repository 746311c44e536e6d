"""i2v.workers.cluster.actor, without Ray: by whose settings an actor works."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.settings import load_settings
from i2v.workers.cluster.actor import _settings
from i2v.workers.cluster.wire import Shared


def test_what_is_kept_of_prompts_is_the_services_choice_and_where_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2V_DATA_DIR", str(tmp_path / "here"))
    there = load_settings(flags={"service.data_dir": tmp_path / "there", "service.embeddings_megabytes": 0})
    found = _settings(Shared.of(there))
    assert found.embeddings == tmp_path / "here/embeddings"
    assert found.service.embeddings_megabytes == 0
