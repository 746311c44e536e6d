"""`i2v bench` with the embedded model: half precision, cancelling, a real lack of memory on the device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.servers import environment_in


@pytest.mark.cuda
def test_half_precision_cancelling_and_the_ladder_hold_on_the_card(tmp_path: Path) -> None:
    """Without a card, the slow test of tests/cli/test_bench.py does the same."""
    report = tmp_path / "bench.json"
    environment = environment_in(tmp_path) | {"I2V_ENGINE__DEVICE": "cuda"}
    done = run(environment, "bench", "--engine", "embedded", "--only", "nan,cancel,memory", "--json", report)
    rows = json.loads(report.read_text())["rows"]
    assert {row["check"] for row in rows} == {"nan", "cancel", "memory"}
    assert [row for row in rows if row["status"] != "ok"] == [], done.stdout
    (ladder,) = (row for row in rows if row["check"] == "memory")
    assert ladder["figures"]["stepped_down"], "memory never ran out"
