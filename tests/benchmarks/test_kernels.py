"""The table of kernels runs without a card, on Triton's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT


def test_every_kernel_is_in_the_table_and_near_the_plain_operation(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="Triton is not installed: bash scripts/setup.sh test kernels")
    file = tmp_path / "kernels.json"
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.kernels",
            "--side",
            "16",
            "--num-frames",
            "2",
            "--json",
            str(file),
        ],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    rows = json.loads(file.read_text())
    assert len(rows) == 6
    assert all(row["error"] < 2e-3 for row in rows)
