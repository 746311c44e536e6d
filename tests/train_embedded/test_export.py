"""Shipped weights and checkpoints are two forms of the same thing: training can go on from what ships."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded.export import export, preview_factors, restore
from scripts.train_embedded.vae import new_vae


@pytest.mark.slow
def test_restored_checkpoints_export_to_the_same_weights(tmp_path: Path) -> None:
    restore(FOLDER, tmp_path / "checkpoints")
    export(tmp_path / "checkpoints", tmp_path / "model", averaged=True)
    for part in ("unet", "vae", "text_encoder", "image_encoder"):
        (shipped,) = (FOLDER / part).glob("*.safetensors")
        first, second = load_file(shipped), load_file(tmp_path / "model" / part / shipped.name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_preview_of_the_shipped_model_is_the_one_that_is_fitted(tmp_path: Path) -> None:
    restore(FOLDER, tmp_path)
    autoencoder = new_vae()
    autoencoder.load_state_dict(torch.load(tmp_path / "vae.pt", weights_only=True))
    fitted, shipped = (
        torch.tensor(table) for table in (preview_factors(autoencoder), EMBEDDED.preview_factors)
    )
    latents = torch.randn(1000, 4) * torch.tensor([1.0, 0.7, 0.7, 0.5])
    colours = [(latents @ table[:4] + table[4]) for table in (fitted, shipped)]
    assert (colours[0] - colours[1]).abs().mean() < 0.03
