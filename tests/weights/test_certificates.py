"""What counts as proof that fast sampling is good enough."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from i2v.core.generation import Generation
from i2v.core.schedules import fast
from i2v.core.settings_sources import ROOT
from i2v.weights import certificates
from i2v.weights.certificates import Certificate, certificates_of

PROOF = Certificate((1.0, 2.5), (12, 50), (8, 8), (120, 136))


@pytest.fixture
def asked(generation: Generation) -> Generation:
    size = {"generated_width": 160, "generated_height": 96}
    return replace(generation, num_frames=8, num_inference_steps=25, guidance_scale=1.0, **size)


def test_a_proof_covers_its_range_and_no_more(asked: Generation) -> None:
    assert PROOF.covers(asked)
    for beyond in (
        {"guidance_scale": 3.0}, {"num_inference_steps": 51}, {"num_inference_steps": 11},
        {"num_frames": 16}, {"generated_width": 256}, {"generated_width": 96},
    ):  # fmt: skip
        assert not PROOF.covers(replace(asked, **beyond)), beyond


def row(**changes: object) -> dict[str, object]:
    schedule = {"timesteps": list(fast(50).timesteps), "order": fast(50).order}
    ranges = {"guidance_scale": [1, 1], "num_inference_steps": [12, 50]}
    return {
        "schedule": schedule,
        **ranges,
        "num_frames": [8, 8],
        "area_side": [120, 136],
        "clips": 27,
    } | changes


def test_a_proof_is_of_these_weights_and_of_what_is_run_now(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row(),
        row(schedule={"timesteps": [900, 500, 100], "order": 3}),
        row(num_inference_steps=[12, 100]),  # a hundred steps are made by another schedule
    ]
    monkeypatch.setattr(certificates, "_table", lambda: {"f" * 64: rows})
    assert certificates_of("f" * 64) == (replace(PROOF, guidance_scale=(1, 1)),)
    assert certificates_of("0" * 64) == ()
    assert certificates_of(None) == ()


def test_every_certificate_that_ships_counts() -> None:
    """One for a schedule that is no longer run should be made again, or go."""
    table = json.loads((ROOT / "i2v" / "weights" / "certificates.json").read_text(encoding="utf-8"))
    for weights, rows in table.items():
        assert len(certificates_of(weights)) == len(rows)
        assert all(proof["clips"] >= 24 for proof in rows)
