"""benchmarks.fleet, small: jobs are finished, and the figures are of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fleet
from i2v.workers.cluster import wire


@pytest.mark.slow
def test_a_small_fleet_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = wire.version
    monkeypatch.setattr(wire, "version", lambda name: "2.60.0" if name == "ray" else own(name))
    figures = fleet.measure(tmp_path, workers=3, queued=200, seconds=2.0, rate=5.0)
    assert figures["jobs_per_second"] > 0
    assert figures["busy_cpu"] > 0
    assert figures["running"] <= 3
