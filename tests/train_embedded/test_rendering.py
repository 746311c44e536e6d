"""Batched rendering against the plain one, and batches against what the pipeline would give the UNet."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded.export import restore
from scripts.train_embedded.motions import EASY, Mix, render
from scripts.train_embedded.plans import Recipe, draw_plan, geometry_of, motion_in
from scripts.train_embedded.rendering import Conditions, Photos, seen_by_encoder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    restore(FOLDER, folder)
    return folder


@pytest.fixture(scope="module")
def conditions(checkpoints: Path) -> Conditions:
    return Conditions(checkpoints)


def smooth_photo(height: int, width: int, seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, height // 20, width // 20, generator=torch.Generator().manual_seed(seed))
    picture = F.interpolate(coarse, (height, width), mode="bicubic")[0]
    return (255 * picture).clamp(0, 255).to(torch.uint8)


# A wide and a tall photograph, the second in one size only.
PYRAMIDS = [[smooth_photo(200, 280, 0), smooth_photo(160, 220, 1)], [smooth_photo(240, 180, 2)]]


@pytest.fixture(scope="module")
def photos() -> Photos:
    return Photos(PYRAMIDS, torch.device("cpu"))


def test_a_batch_is_rendered_as_each_clip_would_be(photos: Photos, conditions: Conditions) -> None:
    view = (96, 128)
    plan = draw_plan(photos.sizes, conditions.tokenizer, 12, Recipe(Mix(), 8, 8, view=view), random.Random(3))
    assert set(plan.places) == {(0, 0), (0, 1), (1, 0)}
    motions = [motion_in(clip, *view) for clip in plan.clips]
    plan = replace(plan, geometry=torch.stack([
        geometry_of(photos.sizes[photo][level], motion, view, clip.positions, random.Random(k))
        for k, ((photo, level), motion, clip) in enumerate(zip(plan.places, motions, plan.clips, strict=True))
    ]))  # fmt: skip
    frames = photos.render(plan)
    assert frames.shape == (12, 8, 3, *view)
    mirrored = 0
    for k, ((photo, level), motion, clip) in enumerate(zip(plan.places, motions, plan.clips, strict=True)):
        is_mirrored = bool(plan.geometry[k, 0, 0, 0] < 0)
        picture = PYRAMIDS[photo][level].flip(-1) if is_mirrored else PYRAMIDS[photo][level]
        plain = render(picture, motion, *view, clip.positions, random.Random(k))
        assert (frames[k] - plain).abs().mean() < 1e-4
        mirrored += is_mirrored
    assert 0 < mirrored < 12


def test_a_batch_has_the_first_frames_latents_and_the_positions_of_the_others(
    photos: Photos, conditions: Conditions
) -> None:
    recipe = Recipe(EASY, num_frames=8, shown=3, view=(64, 96))
    plan = draw_plan(photos.sizes, conditions.tokenizer, 2, recipe, random.Random(0))
    frames = photos.render(plan)
    batch = conditions.batch(plan, frames)
    assert batch.x0.shape == batch.image_latents.shape == (2, 4, 3, 16, 24)
    assert torch.allclose(batch.x0[1].transpose(0, 1), conditions.latents(frames[1]), atol=1e-4)
    assert torch.equal(batch.image_latents[:, :, 0], batch.x0[:, :, 0])
    assert torch.equal(batch.image_latents[:, 2, 1:, 5, 7], plan.ramp[:, 1:])
    assert torch.allclose(batch.states, conditions.text(plan.ids), atol=1e-5)
    assert torch.allclose(batch.embeddings[1:], conditions.image(seen_by_encoder(frames[1:, 0])), atol=1e-5)


def test_a_picture_that_is_left_out_has_no_embedding(photos: Photos, conditions: Conditions) -> None:
    recipe = Recipe(EASY, num_frames=8, shown=2, view=(64, 64), dropout=1.0)
    plan = draw_plan(photos.sizes, conditions.tokenizer, 2, recipe, random.Random(0))
    assert not conditions.batch(plan, photos.render(plan)).embeddings.any()


def test_the_encoder_sees_the_centre_square() -> None:
    picture = torch.zeros(1, 3, 64, 128)
    picture[..., 32:96] = 1
    assert (seen_by_encoder(picture) == 1).all()
