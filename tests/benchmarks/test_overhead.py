"""benchmarks.overhead on an engine that only sleeps: each figure is measured, and is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.overhead import PARTS, measure
from tests.rehearsal import REHEARSAL, picture, stage


@pytest.mark.slow
def test_the_parts_make_up_what_the_service_adds(tmp_path: Path) -> None:
    fields: dict[str, object] = {"prompt": "step: sleep 0.05"}  # of four
    figures = measure(stage(tmp_path), REHEARSAL, fields, picture(), repeats=1)
    run = {name: seconds for name, (seconds,) in figures.items()}
    assert run["bare"] > 0.2
    assert min(run["submit"], run["worker"], run["seen"]) > 0
    assert run["parts"] == pytest.approx(sum(run[part] for part in PARTS))
    assert run["service"] - run["parts"] > 0.2, "the clip itself is counted as overhead"
    assert 0 < run["reporting"] < run["inline"]
    assert run["reporting_share"] == pytest.approx(run["reporting"] / run["inline"])
    assert len(list((tmp_path / "videos").iterdir())) == 6, "each side makes it once more, to warm up"
