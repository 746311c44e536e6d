"""Checkpoints in pieces: together they are the whole, and a missing one is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.train_embedded import pieces


def test_pieces_are_small_and_together_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGEST", 8_000)
    monkeypatch.setattr(pieces, "_HEADER", 2_000)
    tensors = {f"layer.{k}": torch.randn(10, 100).half().float() for k in range(9)}
    paths = pieces.write(tmp_path, "unet", tensors, {"steps": 3})
    assert len(paths) == 3
    assert max(path.stat().st_size for path in paths) < 8_000
    found, notes = pieces.read(tmp_path, "unet")
    assert notes == {"steps": 3}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    again = pieces.write(tmp_path, "unet", {"layer.0": tensors["layer.0"]}, {})
    assert pieces.read(tmp_path, "unet")[0].keys() == {"layer.0"}, "nothing is left of the earlier one"
    paths = pieces.write(tmp_path, "unet", tensors, {})
    assert not again[0].exists()
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match="all pieces of unet"):
        pieces.read(tmp_path, "unet")


def test_what_is_not_finite_or_too_large_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="bias is not finite"):
        pieces.write(tmp_path, "unet", {"bias": torch.tensor([70_000.0])}, {})
    monkeypatch.setattr(pieces, "LARGEST", 210_000)
    with pytest.raises(ValueError, match="more than a piece holds"):
        pieces.write(tmp_path, "unet", {"weight": torch.zeros(6_000)}, {})
    assert not list(tmp_path.iterdir())
