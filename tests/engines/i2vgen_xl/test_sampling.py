"""The loop: its noise, its number of steps, its guidance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import Schedule
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.sampling import denoise, initial_noise, initial_state

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def components(tiny_spec: EngineSpec, tiny_folder: Path) -> Components:
    return load_components(tiny_spec, tiny_folder, PLAN)


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


def test_guidance_is_the_unconditional_prediction_and_a_multiple_of_the_difference(
    components: Components, conditioning: Conditioning, generation: Generation
) -> None:
    start = initial_state(components, generation)

    def rows(chosen: slice) -> Conditioning:
        fields = ("prompt_embeds", "image_embeddings", "image_latents", "fps")
        return replace(conditioning, **{name: getattr(conditioning, name)[chosen] for name in fields})

    def first(given: Conditioning, scale: float) -> torch.Tensor:
        asked = replace(generation, num_inference_steps=5, guidance_scale=scale)
        return next(denoise(components, given, start, asked, PLAN)).state.latents

    without, with_prompt = first(rows(slice(0, 1)), 1.0), first(rows(slice(1, 2)), 1.0)
    # one step of DDIM is linear in the prediction, so guidance may be applied to its results
    expected = without + 4.0 * (with_prompt - without)
    assert torch.allclose(first(conditioning, 4.0), expected, atol=1e-4)


@pytest.mark.parametrize(("passes", "batches"), [pytest.param(1, [2], marks=pytest.mark.slow), (2, [1, 1])])
def test_guidance_runs_the_unet_in_as_many_passes_as_asked_for(
    tiny_spec: EngineSpec,
    tiny_folder: Path,
    conditioning: Conditioning,
    generation: Generation,
    passes: int,
    batches: list[int],
) -> None:
    components = load_components(tiny_spec, tiny_folder, PLAN)
    seen: list[int] = []
    components.unet.conv_out.register_forward_pre_hook(
        lambda module, inputs: seen.append(len(inputs[0]) // generation.num_frames)
    )
    start = initial_state(components, generation)
    in_one = next(denoise(components, conditioning, start, generation, PLAN))
    seen.clear()
    step = next(denoise(components, conditioning, start, generation, replace(PLAN, cfg_passes=passes)))
    assert seen == batches
    assert torch.allclose(step.state.latents, in_one.state.latents, rtol=0, atol=1e-5)
    assert torch.allclose(step.denoised, in_one.denoised, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_runs_do_not_share_state(
    components: Components, conditioning: Conditioning, generation: Generation
) -> None:
    start = initial_state(components, generation)
    alone = [step.state.latents for step in denoise(components, conditioning, start, generation, PLAN)]
    one, two = (denoise(components, conditioning, start, generation, PLAN) for _ in range(2))
    for expected in alone:
        assert torch.equal(next(one).state.latents, expected)
        assert torch.equal(next(two).state.latents, expected)


@pytest.mark.parametrize(
    "schedule",
    [None, pytest.param(Schedule((981, 700, 400, 100), order=3), marks=pytest.mark.slow)],
    ids=["exact", "fast"],
)
def test_a_run_goes_on_from_any_step_under_another_plan(
    components: Components, conditioning: Conditioning, generation: Generation, schedule: Schedule | None
) -> None:
    start = initial_state(components, generation)
    whole = list(denoise(components, conditioning, start, generation, PLAN, schedule))
    later_plan = replace(PLAN, cfg_passes=2, chunk_tokens=512)
    for done in range(1, len(whole)):
        rest = denoise(components, conditioning, whole[done - 1].state, generation, later_plan, schedule)
        steps = list(rest)
        assert [step.state.step for step in steps] == list(range(done + 1, len(whole) + 1))
        assert torch.allclose(steps[-1].state.latents, whole[-1].state.latents, rtol=0, atol=1e-4)
