"""Resident memory of stock and ours: what is told of it, and, in the slow run, real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.resident import MIB, table
from i2v.core.settings_sources import ROOT


def peaks(**most: int) -> dict[str, int]:
    found = {"imports": 100, "load": 110, "condition": 120, "denoise": 300, "decode": 200} | most
    return {name: size * MIB for name, size in found.items()}


def test_the_medians_of_the_pairs_are_reported_and_what_is_over_the_imports() -> None:
    found = [{"stock": peaks(denoise=size), "ours": peaks(denoise=200)} for size in (300, 500, 400)]
    lines = {line[:12].strip(): line[12:].split() for line in table(found).splitlines()}
    assert lines["denoise"] == ["400", "200", "2.00"]
    assert lines["most"] == ["400", "200", "2.00"]
    assert lines["over imports"] == ["300", "100", "3.00"]
    assert lines["imports"] == ["100", "100", "1.00"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_ours_takes_less_than_stock_for_the_same_frames() -> None:
    command = [sys.executable, "-m", "benchmarks.resident", "--pairs", "1", "--side", "192"]
    run = subprocess.run(
        [*command, "--num-frames", "8", "--num-inference-steps", "1"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in run.stdout.splitlines() if line.startswith("over imports"))
    assert float(line.split()[-1]) > 1.2
