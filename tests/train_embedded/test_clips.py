"""What a training batch holds is what the pipeline would give the UNet for the same clip."""

from __future__ import annotations

import random

import pytest
import torch

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded.clips import Conditions, Recipe, make_batch, motion_in, oblongs, seen_by_encoder
from scripts.train_embedded.export import restore
from scripts.train_embedded.motions import EASY, Clip, Mix, Take


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Conditions:
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    restore(FOLDER, checkpoints)
    return Conditions(checkpoints)


def pyramids() -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [[torch.randint(0, 256, (3, 200, 280), dtype=torch.uint8, generator=generator)]]


def clip(name: str) -> Clip:
    return Clip(Take((name,)), 8, 8, "a prompt", "another")


def test_a_batch_has_the_first_frames_latents_and_the_positions_of_those_that_are_shown(
    conditions: Conditions,
) -> None:
    recipe = Recipe(Mix(), num_frames=16, shown=4, first=2, view=(112, 144))
    batch = make_batch(pyramids(), conditions, 2, recipe, random.Random(0))
    assert batch.x0.shape == batch.image_latents.shape == (2, 4, 4, 28, 36)
    assert torch.equal(batch.image_latents[:, :, 0], batch.x0[:, :, 0])
    places = batch.image_latents[:, 0, 1:, 0, 0] * 15
    assert torch.allclose(places, places.round(), atol=1e-4)
    assert (places.diff(dim=1) > 0.5).all()
    assert places.min() > 1.5, "from the frame that was said to be the first"
    assert batch.fps.tolist() == [each.fps for each in batch.clips]


def test_the_same_generator_makes_the_same_batch(conditions: Conditions) -> None:
    first, second = (
        make_batch(pyramids(), conditions, 1, Recipe(EASY, 8, 2), random.Random(5)) for _ in range(2)
    )
    assert torch.equal(first.x0, second.x0)
    assert first.clips == second.clips


def test_in_a_part_of_a_frame_a_border_moves_by_as_many_pixels() -> None:
    whole, part = motion_in(clip("zoom_in"), 128, 128), motion_in(clip("zoom_in"), 64, 64)
    assert part.zoom == pytest.approx(2 * whole.zoom)
    assert motion_in(clip("pan_left"), 64, 64).pan == motion_in(clip("pan_left"), 128, 128).pan


def test_the_encoder_sees_the_centre_square() -> None:
    picture = torch.zeros(1, 3, 64, 128)
    picture[..., 32:96] = 1
    assert (seen_by_encoder(picture) == 1).all()


@pytest.mark.parametrize("side", [128, 160])
def test_oblong_views_have_a_squares_area_and_sides_that_the_unet_can_halve(side: int) -> None:
    for height, width in oblongs(side):
        assert height != width
        assert height % 16 == width % 16 == 0
        assert height * width == pytest.approx(side**2, rel=0.13)
