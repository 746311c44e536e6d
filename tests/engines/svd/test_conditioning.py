"""The picture as CLIP sees it, against diffusers' own scaling; what else the model is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    _resize_with_antialiasing,
)
from PIL import Image

from i2v.core.generation import Generation
from i2v.engines.svd.conditioning import Conditioning, condition, draw_noise, smoothly_resized
from i2v.engines.svd.engine import SVDEngine


def rows(given: Conditioning) -> list[int]:
    return [len(each) for each in (given.image_embeddings, given.image_latents, given.added_time_ids)]


@pytest.mark.parametrize("size", [(64, 96), (576, 1024), (300, 225), (1024, 448)], ids=str)
def test_a_picture_is_scaled_as_diffusers_scales_it(size: tuple[int, int]) -> None:
    pixels = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = _resize_with_antialiasing(pixels, (224, 224))
    assert torch.allclose(smoothly_resized(pixels, 224, 224), expected, atol=1e-5)


def test_the_unguided_row_knows_nothing_of_the_picture(
    engine: SVDEngine, clip: Generation, image: Image.Image
) -> None:
    given = condition(engine.components, replace(clip, target_fps=9), image)
    assert rows(given) == [2, 2, 2]
    unconditional, conditional = given.split(2)
    assert not unconditional.image_embeddings.any()
    assert not unconditional.image_latents.any()
    assert conditional.image_latents.any()
    assert torch.allclose(given.added_time_ids, torch.tensor([[8, 127, 0.02]] * 2)), "the frame rate less 1"


def test_without_guidance_there_is_one_row(engine: SVDEngine, clip: Generation, image: Image.Image) -> None:
    given = condition(engine.components, replace(clip, options={"max_guidance_scale": 1.0}), image)
    assert rows(given) == [1, 1, 1]


def test_a_seed_gives_both_noises(engine: SVDEngine, clip: Generation) -> None:
    first, again = (draw_noise(engine.components, clip) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[0].shape == (1, 3, 48, 64)
    assert first[1].shape == (1, 5, 4, 6, 8)
