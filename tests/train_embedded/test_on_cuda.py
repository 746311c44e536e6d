"""`on_cuda.sh`: what it refuses, and a tiny run of all its parts on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.train_embedded import checkpoints, pack, photos
from scripts.train_embedded.photos import ROOT, Photo

SCRIPT = ROOT / "scripts" / "train_embedded" / "on_cuda.sh"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "I2V_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.run(
        ["bash", SCRIPT, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--speed", "9"), "knows no option --speed"),
        (("--minutes",), "--minutes needs a value"),
        (("--photos", "nowhere.safetensors"), "scripts.train_embedded.pack nowhere.safetensors"),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    found = run("--out", str(tmp_path), *arguments)
    assert found.returncode == 1
    assert said in found.stderr
    assert "Fix: " in found.stderr


@pytest.mark.slow
def test_a_tiny_run_leaves_weights_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    picture = Image.effect_noise((300, 240), 60).convert("RGB")
    monkeypatch.setattr(photos, "manifest", lambda split: [Photo(split, "", "", "", "")] * 2)
    monkeypatch.setattr(photos, "open_photo", lambda photo: picture)
    file, out = tmp_path / "photos.safetensors", tmp_path / "out"
    pack.pack(file)
    found = run("--tiny", "--minutes", "3", "--photos", str(file), "--out", str(out))
    assert found.returncode == 0, found.stderr
    assert "| t=900 |" in (out / "table.md").read_text(encoding="utf-8")
    assert found.stdout.endswith("skipped\n")
    saved = checkpoints.read_pieces(out)
    assert saved.history
    assert all(torch.isfinite(weight).all() for weight in saved.ema.values())
    assert max(piece.stat().st_size for piece in out.iterdir()) < 15_000_000
