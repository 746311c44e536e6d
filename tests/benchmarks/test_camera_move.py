"""The benchmark of camera moves: what it measures is really made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import camera_move


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(camera_move, "PICTURE", (400, 300))
    monkeypatch.setattr(camera_move, "SIZE", (64, 36))
    monkeypatch.setattr(camera_move, "SECONDS", 1)
    picture = tmp_path / "photograph.png"
    camera_move.photograph().save(picture)
    return picture


@pytest.mark.parametrize("move", camera_move.MOVES)
def test_a_reading_has_the_time_and_the_memory(small: Path, move: str) -> None:
    reading = camera_move.one(move, 1, small, None)
    assert all(value >= 0 for value in reading.values())
    assert reading["peak_mib"] >= reading["peak_above_start_mib"]


def test_the_whole_way_leaves_a_video(small: Path, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    camera_move.one("pan by a quarter", 2, small, video)
    assert video.stat().st_size > 1000


def test_the_photograph_is_the_same_every_time_and_uses_the_whole_range(small: Path) -> None:
    first, again = (np.asarray(camera_move.photograph()) for _ in range(2))
    assert np.array_equal(first, again)
    assert 40 < first.std() < 80


def test_every_move_is_measured_with_every_number_of_threads(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(camera_move, "in_a_process", lambda arguments: asked.append(arguments) or {})
    monkeypatch.setattr(
        sys, "argv", ["camera_move", "--cpus", "1", "3", "--json", str(tmp_path / "out.json")]
    )
    assert camera_move.main() == 0
    readings = json.loads((tmp_path / "out.json").read_text())
    assert len(readings) == len(asked) == 2 * 2 * len(camera_move.MOVES)
    assert {(reading["move"], reading["cpus"]) for reading in readings} == {
        (move, cpus) for move in camera_move.MOVES for cpus in (1, 3)
    }
