"""benchmarks.attack on a real server with a few attacks on a small scale; what it sends is what it says."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.attack import Tally, Target, attacks, measure
from benchmarks.hostile import comments_gif, many_scans, odd_request, photograph, png_bomb
from tests.servers import launched, staged


def test_what_is_sent_is_what_it_says() -> None:
    scans = many_scans(0.01, copies=50)
    assert scans.count(b"\xff\xda") > 50
    assert Image.open(io.BytesIO(comments_gif(1))).size == (64, 64)
    bomb = png_bomb(2_000)
    assert len(bomb) < 2_000 * 2_000 / 200
    assert Image.open(io.BytesIO(bomb)).size == (2_000, 2_000)
    assert Image.open(io.BytesIO(photograph())).format == "JPEG"
    assert odd_request(random.Random(7)) == odd_request(random.Random(7))


def test_a_fault_is_listed_and_what_is_refused_is_not() -> None:
    tally = Tally()
    for status in (200, 422, 503, 507, 500, 502):
        tally.note("GET /", status)
    assert tally.faults == ["GET /: 500", "GET /: 502"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
def test_an_attack_is_measured_on_a_real_server(tmp_path: Path) -> None:
    chosen = dict(attacks(0.005))
    with launched(staged(tmp_path), tmp_path) as server:
        target = Target(server, tmp_path)
        fuzzed = measure(target, "fuzz", chosen["fuzzed requests, 3,000"])
    assert fuzzed["faults"] == []
    assert sum(fuzzed["statuses"].values()) == 15  # type: ignore[attr-defined]
    assert fuzzed["bystander_unanswered"] == 0
    assert fuzzed["bystander_slowest_ms"] > 0  # type: ignore[operator]
    assert fuzzed["resident_peak_mb"] > 20  # type: ignore[operator]
