"""i2v.doctor.brief: what every start looks at, and how long that takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from i2v.core.settings_sources import load_settings
from i2v.doctor.brief import examine_briefly


def test_card_memory_disk_and_ffmpeg_are_looked_at(tmp_path: Path) -> None:
    settings = load_settings(flags={"output.directory": tmp_path / "videos", "engine.name": "embedded"})
    began = time.monotonic()
    found = list(examine_briefly(settings, {"PATH": ""}))
    assert time.monotonic() - began < 60  # the page waits for it
    assert found[0].found.code in ("doctor.no_card", "doctor.card_silent")
    codes = [each.found.code for each in found[-3:]]
    assert codes == ["doctor.memory", "doctor.output_ok", "doctor.ffmpeg_ok"]


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "videos").write_text("a file")
    settings = load_settings(flags={"output.directory": tmp_path / "videos", "engine.device": "cuda"})
    found = list(examine_briefly(settings, {**os.environ, "PATH": ""}))
    problems = {each.found.code for each in found if each.status == "problem"}
    assert "device.no_cuda" in problems
    assert any(code.startswith("output.") for code in problems)
