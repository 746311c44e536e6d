"""i2v.cli.batch_report: two files that are there wholly or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from i2v.cli.batch_report import Line, write_report
from i2v.core.errors import EncodeError

LINES = [
    Line(1, "in/a.png", "in/a.png", "made", "out/a.mp4", 7, 1.5, "1" * 32),
    Line(2, "in/照, 片.png", "in/照, 片.png", "failed", job="2" * 32, error='it "broke"'),
    Line(3, "in/c.png", "in/c.png"),
]


def test_both_files_say_what_became_of_every_row(tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_text("of the last time")
    assert [path.name for path in write_report(tmp_path, "in", LINES)] == ["report.csv", "report.json"]
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["picture"], row["outcome"], row["error"]) for row in rows] == [
        ("in/a.png", "made", ""), ("in/照, 片.png", "failed", 'it "broke"'), ("in/c.png", "left", ""),
    ]  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["source"], report["made"], report["failed"], report["left"]) == ("in", 1, 1, 1)
    assert report["rows"][0]["seed"] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "report.json"]


def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(EncodeError) as caught:
        write_report(tmp_path, "in", LINES)
    assert caught.value.code == "batch.no_report"
    assert list(tmp_path.iterdir()) == []
