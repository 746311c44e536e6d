"""benchmarks.page_walk: its table adds up; the walk itself, in a browser, is a slow check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.browser import needs_chromium

playwright = pytest.importorskip("playwright")
from benchmarks.page_walk import Step, report  # noqa: E402


def test_the_table_adds_up() -> None:
    table = report([Step("drops a photo", "it is seen", 1, 0.26), Step("presses", "it plays", 2, 4)], 0)
    assert "| drops a photo | it is seen | 1 | 0.3 |" in table
    assert "| **all** | | **3** | **4.3** |" in table
    assert "moves by 0 px" in table


@needs_chromium
@pytest.mark.slow
def test_a_new_user_comes_to_a_favourite_clip(tmp_path: Path) -> None:
    figures = tmp_path / "walk.json"
    command = [sys.executable, "-m", "benchmarks.page_walk", "--json", str(figures)]
    subprocess.run(command, check=True, timeout=900)
    assert '"shift_px": 0' in figures.read_text()
