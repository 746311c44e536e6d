"""Shipped weights and checkpoints are two forms of the same thing: training can go on from what ships."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from i2v.engines.specs import EMBEDDED
from i2v.weights import EMBEDDED as FOLDER
from scripts.train_embedded.export import export, preview_factors, restore
from scripts.train_embedded.unet import Conditions


def test_restored_checkpoints_export_to_the_same_weights(tmp_path: Path) -> None:
    restore(FOLDER, tmp_path / "checkpoints")
    export(tmp_path / "checkpoints", tmp_path / "model", averaged=True)
    for part in ("unet", "vae", "text_encoder", "image_encoder"):
        (shipped,) = (FOLDER / part).glob("*.safetensors")
        first, second = load_file(shipped), load_file(tmp_path / "model" / part / shipped.name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_goes_on_with_the_projection_that_the_encoder_computes(tmp_path: Path) -> None:
    restore(FOLDER, tmp_path)
    conditions = Conditions(tmp_path)
    from scripts.train_embedded.vae import new_vae

    vae = new_vae()
    vae.load_state_dict(torch.load(tmp_path / "vae.pt", weights_only=True))
    picture = torch.rand(1, 3, 32, 48) * 2 - 1
    assert torch.allclose(conditions.latents(picture), vae.encode(picture).latent_dist.mode(), atol=5e-3)
    assert conditions.text(["the camera pans left"]).shape == (1, 77, 64)
    for row, expected in zip(preview_factors(tmp_path), EMBEDDED.preview_factors, strict=True):
        assert torch.allclose(torch.tensor(row), torch.tensor(expected), atol=5e-3)
