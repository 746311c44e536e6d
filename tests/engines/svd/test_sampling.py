"""The loop's numbers against diffusers' scheduler, and going on from a state."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from i2v.core.generation import Generation
from i2v.engines.svd.conditioning import condition
from i2v.engines.svd.engine import SVDEngine
from i2v.engines.svd.sampling import denoise, denoised_of, guidance_scales, initial_state, schedule_for


def test_the_published_schedule_goes_from_700_to_nothing(engine: SVDEngine, clip: Generation) -> None:
    schedule = schedule_for(engine.components, replace(clip, num_inference_steps=25))
    assert len(schedule.sigmas) == 26
    assert schedule.sigmas[0] == pytest.approx(700)
    assert schedule.sigmas[-2:] == (pytest.approx(0.002), 0.0)
    assert list(schedule.sigmas) == sorted(schedule.sigmas, reverse=True)
    assert schedule.timesteps[0] == pytest.approx(0.25 * math.log(700), rel=1e-5)


def test_a_prediction_means_the_clip_that_diffusers_takes_it_for(engine: SVDEngine, clip: Generation) -> None:
    scheduler = engine.components.scheduler()
    scheduler.set_timesteps(4)
    latents, velocity = torch.randn(2, 1, 3, 4, 2, 2)
    expected = scheduler.step(velocity, scheduler.timesteps[0], latents).pred_original_sample
    found = denoised_of(latents, velocity, float(scheduler.sigmas[0]))
    assert torch.allclose(found, expected, atol=1e-5)


def test_guidance_grows_from_the_first_frame_to_the_last(clip: Generation) -> None:
    asked = replace(clip, options={"min_guidance_scale": 1.5, "max_guidance_scale": 2.5})
    scales = guidance_scales(asked, torch.zeros(1))
    assert scales.shape == (1, 5, 1, 1, 1)
    assert scales.flatten().tolist() == pytest.approx([1.5, 1.75, 2.0, 2.25, 2.5])


def test_denoising_goes_on_from_a_state_by_another_plan(
    engine: SVDEngine, clip: Generation, image: Image.Image
) -> None:
    parts = engine.components
    given, start = condition(parts, clip, image), initial_state(parts, clip)
    first, *_, last = denoise(parts, given, start, clip, engine.plan)
    other = replace(engine.plan, cfg_passes=2, chunk_tokens=64)
    *_, again = denoise(parts, given, first.state, clip, other)
    assert again.state.step == last.state.step == 3
    assert (again.state.latents - last.state.latents).abs().max() <= 1e-4
