"""`i2v generate` where memory runs out, with an engine that does what its prompt says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from i2v.cli.main import main
from i2v.engines.registry import engines
from tests.rehearsal import REHEARSAL, stage, write_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = stage(tmp_path)
    monkeypatch.setenv("I2V_OUTPUT__DIRECTORY", str(settings.output.directory))
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(settings.models.directory))
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cpu")
    monkeypatch.setitem(engines(), REHEARSAL.name, REHEARSAL)
    photo.save(tmp_path / "photo.png")
    return tmp_path


def generate(home: Path, prompt: str, *flags: str) -> int:
    return main(["generate", str(home / "photo.png"), "--engine=rehearsal", "--prompt", prompt, *flags])


def test_every_rung_is_printed_once_and_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(home, load="load: memory once")
    assert generate(home, "step 2: memory once; frame 1: memory once") == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "ran out" in line or "From there" in line]
    assert [line.split()[3] if "ran out" in line else "then" for line in told] == ["out", "then"] * 3
    assert "loaded" in told[0]
    assert "step" in told[2]
    assert "decoded" in told[4]
    assert lines[-1].startswith("i2v: rehearsal, 4 frames")


def test_the_rungs_are_in_the_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(home, load="load: memory once")
    assert generate(home, "step 2: memory once", "--json") == 0
    notices = [notice["code"] for notice in json.loads(capsys.readouterr().out)["notices"]]
    expected = ["ladder.load", "ladder.chunk_tokens", "ladder.denoise", "ladder.decode_chunk"]
    assert [code for code in notices if code.startswith("ladder.")] == expected


def test_at_the_bottom_it_says_so_and_leaves_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(home, "frame 2: memory") == 1
    said = capsys.readouterr()
    assert "most saving options" in said.err
    assert said.out == ""
    assert list((home / "videos").iterdir()) == []
