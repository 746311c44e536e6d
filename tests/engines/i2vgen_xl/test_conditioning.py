"""What no step changes: each part against diffusers' own, and what is cut off a prompt is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.deprecated.i2vgen_xl.pipeline_i2vgen_xl import _center_crop_wide
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import centre_crop, condition, encode_first_frame, encode_prompt


@pytest.fixture(scope="module")
def components(tiny_spec: EngineSpec, tiny_folder: Path) -> Components:
    return load_components(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32"))


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (100, 100), (641, 97)])
@pytest.mark.parametrize("target", [(64, 64), (96, 96), (97, 33)])
def test_centre_crop_is_diffusers_own(size: tuple[int, int], target: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    assert np.array_equal(
        np.asarray(centre_crop(image, *target)), np.asarray(_center_crop_wide(image, target))
    )


@torch.no_grad()
def test_the_first_frame_is_the_picture_and_the_others_their_place_in_the_clip(
    components: Components, photo: Image.Image
) -> None:
    first = encode_first_frame(components, photo, 5, sample_posterior=False)
    assert first.shape == (1, 4, 5, 32, 48)
    assert torch.equal(first, encode_first_frame(components, photo, 5, sample_posterior=False))
    assert (
        first[0, :, 1:].amax((0, 2, 3)).tolist()
        == first[0, :, 1:].amin((0, 2, 3)).tolist()
        == [0.25, 0.5, 0.75, 1]
    )
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    mode = components.vae.encode(pixels).latent_dist.mode() * components.vae.config.scaling_factor
    assert torch.allclose(first[:, :, 0], mode, atol=1e-5)


@torch.no_grad()
def test_a_posterior_that_is_sampled_differs_from_time_to_time(
    components: Components, photo: Image.Image
) -> None:
    one, two = (encode_first_frame(components, photo, 4, sample_posterior=True) for _ in range(2))
    assert not torch.equal(one, two)


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("", ""),
        ("the camera pans left", ""),
        ("pan " * 75, ""),
        ("pan " * 75 + "left now", "left now"),
        ("left " * 90 + "end", "left " * 15 + "end"),
    ],
    ids=["empty", "short", "just fits", "two words over", "far over"],
)
@torch.no_grad()
def test_what_is_cut_off_a_prompt_is_reported(
    components: Components, tiny_spec: EngineSpec, text: str, removed: str
) -> None:
    states, notes = encode_prompt(components, tiny_spec, text)
    assert states.shape == (1, 77, 16)
    assert notes == removed


def test_rows_are_split_in_order_and_one_row_stays_one_part(
    components: Components, tiny_spec: EngineSpec, generation: Generation, photo: Image.Image
) -> None:
    guided = condition(components, tiny_spec, generation, photo)
    for part, row in zip(guided.split(2), (0, 1), strict=True):
        assert torch.equal(part.prompt_embeds, guided.prompt_embeds[row : row + 1])
        assert torch.equal(part.image_embeddings, guided.image_embeddings[row : row + 1])
        assert torch.equal(part.image_latents, guided.image_latents[row : row + 1])
        assert part.fps.tolist() == [8]
    (whole,) = guided.split(1)
    assert torch.equal(whole.prompt_embeds, guided.prompt_embeds)
    alone = condition(components, tiny_spec, replace(generation, guidance_scale=1.0), photo)
    assert len(alone.split(2)) == 1


def test_guidance_doubles_the_rows_and_the_unconditional_one_sees_no_picture(
    components: Components, tiny_spec: EngineSpec, generation: Generation, photo: Image.Image
) -> None:
    guided = condition(components, tiny_spec, generation, photo)
    assert (len(guided.prompt_embeds), len(guided.image_latents), guided.fps.tolist()) == (2, 2, [8, 8])
    assert guided.image_embeddings[0].abs().max() == 0
    assert torch.equal(guided.image_latents[0], guided.image_latents[1])
    alone = condition(components, tiny_spec, replace(generation, guidance_scale=1.0), photo)
    assert torch.equal(alone.prompt_embeds, guided.prompt_embeds[1:])
    assert torch.equal(alone.image_embeddings, guided.image_embeddings[1:])
