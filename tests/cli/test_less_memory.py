"""`i2v generate` where memory runs out, with an engine that does what its prompt says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from i2v.cli.main import main
from i2v.core.messages import catalogue
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
    reported = [line for line in lines if line.startswith(("i2v: Out of memory", "i2v: Now "))]
    assert [line.split()[1] for line in reported] == ["Out", "Now"] * 3
    causes = [catalogue()[f"ladder.{stage}"].message for stage in ("load", "denoise", "decode")]
    assert [line.strip() for line in reported[::2]] == [f"i2v: {cause}" for cause in causes]
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
    assert "every memory-saving option" in said.err
    assert said.out == ""
    assert list((home / "videos").iterdir()) == []
