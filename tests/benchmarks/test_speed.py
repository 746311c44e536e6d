"""The speed benchmark: one small run of it for real, and what its figures mean."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import speed, sweep
from benchmarks.baselines import Bench, Scheduled
from benchmarks.cases import Case, Clip, References, cases
from benchmarks.race import Race
from benchmarks.reports import write
from benchmarks.speed_tables import STAGES, quality_rows
from i2v.core.schedules import ddim
from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.weights import EMBEDDED_FOLDER, weights_digest


@pytest.mark.slow
def test_a_quick_run_has_every_side_stage_and_measure(tmp_path: Path) -> None:
    path, drawing = tmp_path / "speed.json", tmp_path / "speed.svg"
    command = [sys.executable, "benchmarks/speed.py", "--quick", "--json", str(path), "--plot", str(drawing)]
    done = subprocess.run(
        [*command, "--references", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(path.read_text())
    assert "<svg" in drawing.read_text()
    assert report["complete"]
    assert report["paired"]["frames_max_difference"] <= 1
    sides = list(report["alone"])
    assert sides[:3] == ["stock", "exact", "fast"]
    assert {name.split()[0].split("-")[0] for name in sides[3:]} == {"AdaptiveDiffusion", "DeepCache", "DDIM"}
    steps = report["setting"]["num_inference_steps"]
    evaluations = {side: alone["unet_evaluations"] for side, alone in report["alone"].items()}
    assert evaluations["stock"] == evaluations["exact"] == steps
    assert evaluations["fast"] < steps
    assert report["alone"]["exact"]["flops"]["denoise"] < report["alone"]["stock"]["flops"]["denoise"]
    for clock in ("wall", "cpu"):
        for side, stages in report["seconds"][clock].items():
            parts = [stages[stage][0] for stage in STAGES[1:5]]
            assert stages["clip"] == [pytest.approx(sum(parts))]
            if side != "stock":
                expected = report["seconds"][clock]["stock"]["clip"][0] / stages["clip"][0]
                assert report["ratios"][clock][side]["clip"]["median"] == pytest.approx(expected)
    assert set(report["quality"]["gate"]) == set(report["quality"]["work"])


@pytest.mark.slow
def test_quality_is_measured_against_the_kept_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two steps, two and three: the references that are kept are taken, whatever they are."""
    quick = Race(32, 2, 1.0, 1, 1, 1, str(tmp_path))
    (case,) = cases(1.0, 1, 32)
    bench = Bench(EMBEDDED_FOLDER)
    made = {steps: bench.make(case, Scheduled(f"DDIM-{steps}", ddim(steps))) for steps in (2, 3)}
    references = References(weights_digest(EMBEDDED, EMBEDDED_FOLDER), tmp_path)
    references.get(case.at(2), lambda _: made[2])
    references.get(case.at(200), lambda _: made[3])
    samplers = [Scheduled(f"DDIM-{steps}", ddim(steps)) for steps in (2, 3)]
    monkeypatch.setattr(sweep, "swept", lambda *_: samplers)
    (found,) = sweep.reports(quick)
    (row,) = found["measured"]
    assert row["DDIM-2"] == row["stock"]
    assert row["DDIM-3"] == row["reference"]
    assert row["stock"]["latent_error"] > row["reference"]["latent_error"] == 0
    assert [work["out"] for label in ("DDIM-2", "DDIM-3") for work in found["work"][label]] == [2, 3]
    seconds = {"cpu": {"stock": {"denoise": [1.0]}}}
    lines = "\n".join(quality_rows({"quality": found, "seconds": seconds}))
    assert "quality over 1 clips" in lines
    assert "FAILED" not in lines  # either is as good as stock


def test_a_reference_is_made_once_and_kept_by_all_that_decides_over_it(tmp_path: Path) -> None:
    made: list[Case] = []

    def make(case: Case) -> Clip:
        made.append(case)
        return Clip(np.zeros((1, 4, 8, 8, 8), np.float32), np.full((8, 32, 32, 3), 7, np.uint8))

    first, second = cases(1.0, 2, 32)
    for case in (first, first, second, first.at(7), cases(2.5, 1, 32)[0], cases(1.0, 1, 48)[0]):
        assert References("weights", tmp_path).get(case, make).frames.max() == 7
    assert len(made) == 5
    References("other weights", tmp_path).get(first, make)
    assert len(made) == 6
    assert References("weights", tmp_path).find(second.at(9)) is None


def test_a_ratio_is_stocks_seconds_over_a_sides() -> None:
    seconds = {
        clock: {
            "stock": {stage: [4.0, 6.0, 5.0] for stage in STAGES},
            "fast": {stage: [1.0, 1.0, 1.0] for stage in STAGES},
        }
        for clock in ("wall", "cpu")
    }
    found = speed.ratios(seconds)
    assert list(found["wall"]) == ["fast"]
    assert found["cpu"]["fast"]["clip"]["ratios"] == (4, 6, 5)
    assert (found["cpu"]["fast"]["clip"]["median"], found["cpu"]["fast"]["clip"]["low"]) == (5, 4)


def test_what_is_measured_is_kept_when_a_later_stage_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are played: each finds in the file what those before it have measured."""
    path = tmp_path / "speed.json"
    kept: list[dict[str, Any]] = []
    ends = False

    def child(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
        if module == "race":
            reading = {stage: [{"wall": 2.0, "cpu": 1.0}] for stage in STAGES}
            readings = {"readings": {"stock": reading, "fast": reading}}
            kept.append(json.loads(path.read_text()) if path.exists() else {})
            yield readings if arguments[0] == "paired" else {"peak_rss_mib": 5}
            return
        for names in (["first"], ["first", "second"]):
            yield {"cases": names}
            kept.append(json.loads(path.read_text()))
        if not ends:
            raise SystemExit("out of memory")

    monkeypatch.setattr(speed, "child", child)
    with pytest.raises(SystemExit):
        speed.measure({"pairs": 1}, lambda found: write(path, found))
    assert [list(found.get("alone", ())) for found in kept[:3]] == [[], [], ["stock"]]
    assert [found["quality"]["cases"] for found in kept[3:]] == [["first"], ["first", "second"]]
    report = json.loads(path.read_text())
    assert not report["complete"]
    assert report["quality"]["cases"] == ["first", "second"]
    assert report["seconds"]["cpu"]["fast"]["clip"] == [1.0]
    ends = True
    speed.measure({"pairs": 1}, lambda found: write(path, found))
    assert json.loads(path.read_text())["complete"]


def test_a_measurement_that_fails_is_reported() -> None:
    with pytest.raises(SystemExit, match=r"benchmarks\.absent failed with code 1"):
        list(speed.child("absent"))


def test_a_side_of_no_multiple_is_refused_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--side", "65"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--side a multiple of 16" in done.stderr
