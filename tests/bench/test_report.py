"""i2v.bench.report: a file that is whole at any time, and that tells nothing of a person."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from i2v.bench.report import Private, Report, Row, check_target
from i2v.core.errors import InvalidRequest


def about() -> dict[str, object]:
    return {"date": "2026-11-23T03:04:05Z", "engine": {"name": "embedded"}}


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    row = Row("stock", "ours", "ok", seconds=1.5, figures={"seconds": {"clip": 1.25}, "bytes": {"peak": 7}})
    path = tmp_path / "bench.json"
    Report(about(), [row], seconds=3.04, complete=True).save(path, Private.of())
    answer = json.loads(path.read_text())
    assert (answer["schema"], answer["complete"], answer["seconds"]) == (1, True, 3.0)
    assert answer["engine"] == {"name": "embedded"}
    assert answer["rows"] == [
        {
            "check": "stock",
            "name": "ours",
            "status": "ok",
            "message": None,
            "seconds": 1.5,
            "figures": {"seconds": {"clip": 1.25}, "bytes": {"peak": 7}},
            "error": None,
        }
    ]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("cannot read {home}/a b/models/unet/x.safetensors: no", "x.safetensors: no"),
        ("{cwd}/weights is gone", "/weights is gone"),
        ("/mnt/Ada Lovelace/models/config.json", "config.json"),
        ("~/models/unet/config.json", "config.json"),
        ("C:\\Users\\ada\\models\\config.json", "config.json"),
        ("on {node}: no", "no"),
        ("i2v/bench/trials.py:12 look, 3 of 255, 1/2", "i2v/bench/trials.py:12 look, 3 of 255, 1/2"),
    ],
)
def test_no_folder_and_no_name_of_the_machine_is_reported(tmp_path: Path, said: str, left: str) -> None:
    known = {"home": str(Path.home()), "cwd": str(Path.cwd()), "node": platform.node()}
    row = Row("stock", "stock", "failed", said.format(**known), error={"where": [said.format(**known)]})
    path = tmp_path / "bench.json"
    Report(about(), [row]).save(path, Private.of(Path("/mnt/Ada Lovelace/models")))
    text = path.read_text()
    for private in (known["home"] + "/", known["cwd"], "Lovelace", "ada", "a b/", f" {known['node']}:"):
        assert private not in text
    assert json.loads(text)["rows"][0]["message"].endswith(left)


def test_a_report_that_cannot_be_written_is_reported_and_the_old_one_stays(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"Cannot write .*: No such file"):
        Report(about()).save(tmp_path / "nowhere" / "bench.json", Private.of())
    path = tmp_path / "bench.json"
    Report(about()).save(path, Private.of())
    before = path.read_text()
    with pytest.raises(TypeError):
        Report({"date": object()}).save(path, Private.of())
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["bench.json"]


def test_a_place_that_cannot_be_written_is_reported_before_anything_is_measured(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "bench.json", tmp_path, Path("/proc/bench.json")):
        with pytest.raises(InvalidRequest, match="Cannot write"):
            check_target(path)
    check_target(tmp_path / "bench.json")
    assert list(tmp_path.iterdir()) == []
