"""The loop: its noise, its number of steps, its guidance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.sampling import denoise, initial_noise
from i2v.schema import EngineSpec, Generation, MemoryPlan


@pytest.fixture(scope="module")
def components(tiny_spec: EngineSpec, tiny_folder: Path) -> Components:
    return load_components(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32"))


@pytest.fixture
def conditioning(
    components: Components, tiny_spec: EngineSpec, generation: Generation, photo: Image.Image
) -> Conditioning:
    return condition(components, tiny_spec, generation, photo)


def test_noise_is_drawn_as_stock_draws_it(components: Components, generation: Generation) -> None:
    expected = torch.randn(1, 4, 4, 32, 48, generator=torch.Generator("cpu").manual_seed(7))
    assert torch.equal(initial_noise(components, generation), expected)
    other = replace(generation, seed=8, num_frames=6, generated_width=64)
    assert initial_noise(components, other).shape == (1, 4, 6, 32, 32)


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 200])
def test_there_are_as_many_timesteps_as_steps_asked_for(components: Components, steps: int) -> None:
    scheduler = components.scheduler()
    scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps) == steps


def test_guidance_is_the_unconditional_prediction_and_a_multiple_of_the_difference(
    components: Components, conditioning: Conditioning, generation: Generation
) -> None:
    noise = initial_noise(components, generation)

    def rows(chosen: slice) -> Conditioning:
        fields = ("prompt_embeds", "image_embeddings", "image_latents", "fps")
        return replace(conditioning, **{name: getattr(conditioning, name)[chosen] for name in fields})

    def first(given: Conditioning, scale: float) -> torch.Tensor:
        return next(denoise(components, given, noise, 5, scale)).latents

    without, with_prompt = first(rows(slice(0, 1)), 1.0), first(rows(slice(1, 2)), 1.0)
    # one step of DDIM is linear in the prediction, so guidance may be applied to its results
    expected = without + 4.0 * (with_prompt - without)
    assert torch.allclose(first(conditioning, 4.0), expected, atol=1e-4)


@pytest.mark.parametrize(("passes", "batches"), [(1, [2]), (2, [1, 1])])
def test_guidance_runs_the_unet_in_as_many_passes_as_asked_for(
    tiny_spec: EngineSpec,
    tiny_folder: Path,
    conditioning: Conditioning,
    generation: Generation,
    passes: int,
    batches: list[int],
) -> None:
    components = load_components(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32"))
    seen: list[int] = []
    components.unet.conv_out.register_forward_pre_hook(
        lambda module, inputs: seen.append(len(inputs[0]) // generation.num_frames)
    )
    noise = initial_noise(components, generation)
    in_one = next(denoise(components, conditioning, noise, 5, 4.0))
    seen.clear()
    step = next(denoise(components, conditioning, noise, 5, 4.0, passes))
    assert seen == batches
    assert torch.allclose(step.latents, in_one.latents, rtol=0, atol=1e-5)
    assert torch.allclose(step.denoised, in_one.denoised, rtol=0, atol=1e-5)


def test_runs_do_not_share_state(
    components: Components, conditioning: Conditioning, generation: Generation
) -> None:
    noise = initial_noise(components, generation)
    alone = [step.latents for step in denoise(components, conditioning, noise, 3, 4.0)]
    one, two = (denoise(components, conditioning, noise, 3, 4.0) for _ in range(2))
    for expected in alone:
        assert torch.equal(next(one).latents, expected)
        assert torch.equal(next(two).latents, expected)
