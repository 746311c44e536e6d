"""i2v.workers.cluster.actor, without Ray: by whose settings an actor works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from i2v.core.settings_sources import load_settings
from i2v.workers.cluster.actor import Actor, _settings
from i2v.workers.cluster.places import Node, Place
from i2v.workers.cluster.wire import Shared


def test_what_is_kept_of_prompts_is_the_services_choice_and_where_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2V_DATA_DIR", str(tmp_path / "here"))
    there = load_settings(flags={"service.data_dir": tmp_path / "there", "service.embeddings_megabytes": 0})
    found = _settings(Shared.of(there))
    assert found.embeddings == tmp_path / "here/embeddings"
    assert found.service.embeddings_megabytes == 0


@pytest.mark.parametrize(("given", "expected"), [("1", "6"), (None, "6"), ("3", "3")])
def test_a_worker_with_a_gpu_has_its_share_of_the_cpus_and_the_name_of_its_card(
    given: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray sets OMP_NUM_THREADS to 1, a person may set another number; CUDA_VISIBLE_DEVICES has a UUID."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    place = Place(Node("a", "big", 24, 2), "cuda", share=2)
    card = "GPU-6d0b4a1c-5f3e-4a6e-9c3c-1b2f3a4d5e6f"
    actor = Actor("big", "cuda", 2, Shared.of(load_settings()), {}, card, place.cpus)
    assert os.environ["OMP_NUM_THREADS"] == expected
    assert actor._id == "big/cuda:GPU-6d0b4a1c"
    actor.end()
