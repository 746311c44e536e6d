"""The trainer's quick kernels against diffusers' own, and the starting point that it sets by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import I2VGenXLUNet

from scripts.train_embedded.designs import DESIGNS
from scripts.train_embedded.network import boost_fps, damp, prepare_for_training


@pytest.fixture(scope="module")
def unet() -> I2VGenXLUNet:
    torch.manual_seed(0)
    return DESIGNS["shipped"].new_unet().eval()


def inputs(frames: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "sample": torch.randn(1, 4, frames, 16, 16, generator=generator),
        "timestep": torch.tensor([700]),
        "fps": torch.tensor([8]),
        "image_latents": torch.randn(1, 4, frames, 16, 16, generator=generator),
        "image_embeddings": torch.randn(1, 1, 64, generator=generator),
        "encoder_hidden_states": torch.randn(1, 77, 64, generator=generator),
    }


@torch.no_grad()
def test_the_quick_kernels_are_diffusers_own(unet: I2VGenXLUNet) -> None:
    quick = copy.deepcopy(unet)
    prepare_for_training(quick)
    assert torch.allclose(quick(**inputs(8)).sample, unet(**inputs(8)).sample, atol=2e-4)


@torch.no_grad()
def test_confined_temporal_convolutions_equal_those_without_neighbours(unet: I2VGenXLUNet) -> None:
    alone, quick = copy.deepcopy(unet), copy.deepcopy(unet)
    for module in alone.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.weight[:, :, 0] = 0
            module.weight[:, :, 2] = 0
    prepare_for_training(quick)["on"] = True
    assert torch.allclose(quick(**inputs(4)).sample, alone(**inputs(4)).sample, atol=2e-4)


@torch.no_grad()
def test_the_picture_arrives_unchanged_at_the_start(unet: I2VGenXLUNet) -> None:
    fresh = copy.deepcopy(unet)
    damp(fresh)
    picture = torch.randn(2, 4, 16, 16)
    assert torch.allclose(fresh.image_latents_proj_in(picture), picture, atol=1e-5)
    assert fresh(**inputs(8)).sample.abs().max() == 0


@torch.no_grad()
def test_a_boost_of_fps_leaves_the_usual_one_and_moves_the_others_away_from_it(unet: I2VGenXLUNet) -> None:
    boosted = copy.deepcopy(unet)
    torch.nn.init.normal_(boosted.fps_embedding[-1].weight)
    torch.nn.init.normal_(boosted.fps_embedding[-1].bias)

    def embeddings() -> torch.Tensor:
        return boosted.fps_embedding(boosted.time_proj(torch.tensor([8, 4, 24])).float())

    usual, *others = embeddings()
    boost_fps(boosted, 3.0)
    found, *moved = embeddings()
    assert torch.allclose(found, usual, atol=1e-4)
    for before, after in zip(others, moved, strict=True):
        assert torch.allclose(after - usual, 3 * (before - usual), atol=1e-3)
