"""The benchmark against stock: what it decides, and one small run of it for real."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.stock import CANNOT_TELL, SIDES, STAGES, compare, exit_code, median_interval
from i2v.core.settings_sources import ROOT

STEPS = 2


@pytest.mark.parametrize(("n", "low", "high"), [(1, 1, 1), (5, 1, 5), (6, 1, 6), (9, 2, 8), (12, 3, 10)])
def test_the_interval_is_the_narrowest_that_holds_the_median_in_19_of_20_samples(
    n: int, low: int, high: int
) -> None:
    found = median_interval([*range(n, 0, -1)])
    # each value falls below or above the median with even chances: count all the ways
    below = [sum(coins) for coins in itertools.product((0, 1), repeat=n)]
    held = sum(low <= count <= high - 1 for count in below) / 2**n
    narrower = sum(low + 1 <= count <= high - 2 for count in below) / 2**n
    assert found == (low, high, pytest.approx(held))
    assert narrower < 0.95
    assert held >= 0.95 or n < 6


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([0.8, 0.9, 0.8, 0.9, 0.8, 0.9], "faster"),
        ([1.04, 0.98, 1.01, 1.04, 0.97, 1.0], "not slower"),
        ([1.01, 1.02, 1.04, 1.03, 1.02, 1.01], "not slower"),
        ([1.1, 1.2, 1.04, 1.1, 1.15, 1.1], "slower"),
        ([1.1, 1.2, 0.9, 1.1, 1.15, 1.1], "cannot tell"),
        ([0.5, 0.5, 0.5, 0.5, 0.5], "cannot tell"),
        ([2.0, *[1.0] * 8], "not slower"),
    ],
    ids=["faster", "even", "within 5 %", "slower", "noise", "too few pairs", "one outlier of nine"],
)
def test_a_verdict_follows_from_the_interval_of_the_paired_ratios(ours: list[float], verdict: str) -> None:
    # a drift of the whole machine cancels within each pair
    drift = [2.0**number for number in range(len(ours))]
    found = compare([mine * factor for mine, factor in zip(ours, drift, strict=True)], drift)
    assert found.ratios == pytest.approx([1 / mine for mine in ours])
    assert found.verdict == verdict


def test_one_slower_stage_or_other_frames_fail_and_doubt_is_told_apart() -> None:
    assert exit_code(["faster", "not slower"], 1) == 0
    assert exit_code(["faster", "slower", "cannot tell"], 0) == 1
    assert exit_code(["faster"], 2) == 1
    assert exit_code(["faster", "cannot tell"], 0) == CANNOT_TELL


@pytest.mark.slow
def test_a_small_run_gives_coherent_figures(tmp_path: Path) -> None:
    path = tmp_path / "stock.json"
    settings = [
        "--side",
        "64",
        "--num-inference-steps",
        str(STEPS),
        "--guidance-scale",
        "2",
        "--threads",
        "1",
    ]
    script = [sys.executable, "benchmarks/stock.py", "--json", str(path), "--repeats", "1", *settings]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == CANNOT_TELL, done.stderr  # one pair tells nothing
    report = json.loads(path.read_text())
    assert report["exit_code"] == CANNOT_TELL
    assert report["frames_max_difference"] <= 1
    ours, stock = (report["alone"][side] for side in SIDES)
    assert ours["unet_evaluations"] == stock["unet_evaluations"] == 2 * STEPS
    # the previews are ours alone: 12 multiplications a latent pixel
    assert 0 < ours["flops"]["clip"] <= 1.0001 * stock["flops"]["clip"]
    for side in (ours, stock):
        assert side["flops"]["clip"] == sum(side["flops"][stage] for stage in STAGES[1:4])
        assert 0 < side["imported_rss_mib"] < side["peak_rss_mib"]
    for clock in ("wall", "cpu"):
        seconds, ratios = report["seconds"][clock], report["ratios"][clock]
        for side in SIDES:
            parts = [seconds[side][stage][0] for stage in STAGES[1:4]]
            assert seconds[side]["clip"] == [pytest.approx(sum(parts))]
        for stage in STAGES:
            expected = seconds["stock"][stage][0] / seconds["ours"][stage][0]
            assert ratios[stage]["ratios"] == [pytest.approx(expected)]
            assert ratios[stage]["median"] == pytest.approx(expected)
            assert f"{report['ratios']['wall'][stage]['median']:.2f}" in done.stdout
    chunks = report["stock_decode_seconds_by_chunk"]
    assert list(chunks) == ["1", "2", "4", "8"]
    assert report["setting"]["stock_decode_chunk"] == int(min(chunks, key=lambda size: chunks[size][0]))
    assert report["setting"]["threads"] == 1


def test_it_also_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stock", "--side", "65"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--side a multiple of 16" in done.stderr
