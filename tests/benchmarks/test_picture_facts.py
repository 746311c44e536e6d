"""The benchmark of the advice on pictures, on two photographs: it counts what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import picture_facts
from i2v.core.settings_sources import ROOT


def test_motion_is_of_the_given_length_and_keeps_the_light() -> None:
    line = Image.new("RGB", (640, 640))
    line.paste("white", (320, 320, 321, 321))
    seen = np.asarray(picture_facts.moved(line, 20, np.random.default_rng(3)), float)[..., 0]
    rows, columns = np.nonzero(seen)
    assert 18 <= np.hypot(np.ptp(rows), np.ptp(columns)) <= 23
    assert 150 < seen.sum() <= 255


def test_what_is_reported_is_counted_by_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        picture_facts.fonts(chinese=True)
    except SystemExit:
        pytest.skip("there are no Chinese fonts here")
    for name in ("coffee.jpg", "rocket.jpg"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    monkeypatch.setattr(
        "sys.argv", ["picture_facts", str(tmp_path), "--json", str(tmp_path / "reported.json")]
    )
    monkeypatch.setattr(picture_facts, "PAGES", 2)
    assert picture_facts.main() == 0
    reported = json.loads((tmp_path / "reported.json").read_text())["reported"]
    small = "advice.small_picture"  # they are, and that is not counted
    assert reported["as it is"] == [[small]] * 2
    assert reported["Gaussian 4"] == [[small, "advice.blurred_picture"]] * 2
    assert reported["page, Latin"] == reported["page, Chinese"] == [["advice.text_in_picture"]]
    assert "Gaussian 4                      2   100.0%     0.0%" in capsys.readouterr().out
