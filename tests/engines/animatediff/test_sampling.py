"""The loop's schedule, and going on from a state."""

from __future__ import annotations

from dataclasses import replace

from i2v.core.generation import Generation
from i2v.engines.animatediff.conditioning import condition
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.samplers import sampler_for
from i2v.engines.animatediff.sampling import denoise, initial_state
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.base import Inputs


def test_the_schedule_is_that_of_diffusers_scheduler(engine: AnimateDiffEngine, clip: Generation) -> None:
    scheduler = engine.components.scheduler()
    scheduler.set_timesteps(25)
    sampler = sampler_for(engine.components, replace(clip, num_inference_steps=25))
    assert list(sampler.timesteps) == scheduler.timesteps.tolist()


def test_denoising_goes_on_from_a_state_by_another_plan(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs
) -> None:
    parts = engine.components
    given, _ = condition(parts, ANIMATEDIFF, clip, inputs)
    first, *_, last = denoise(parts, given, initial_state(parts, clip), clip, engine.plan)
    other = replace(engine.plan, cfg_passes=2, chunk_tokens=64)
    *_, again = denoise(parts, given, first.state, clip, other)
    assert again.state.step == last.state.step == 3
    assert (again.state.latents - last.state.latents).abs().max() <= 1e-4
