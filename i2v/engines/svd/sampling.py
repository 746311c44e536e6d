"""The denoising loop: noise to latents, one yielded step at a time.

Euler's method over the noise levels of diffusers' `EulerDiscreteScheduler` (Karras et al. 2022, algorithm 2
without churn), step for step as its `StableVideoDiffusionPipeline` runs it, with a guidance scale for each
frame. The loop knows no pixels and never waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.engines.diffusion.both_ends import blended
from i2v.engines.diffusion.feed_forward import set_chunk_tokens
from i2v.engines.diffusion.solvers import Hold, unheld
from i2v.engines.diffusion.state import State, Step
from i2v.engines.svd.components import Components
from i2v.engines.svd.conditioning import Conditioning, draw_noise
from i2v.engines.svd.options import options_of
from i2v.engines.svd.unet import predict


@dataclass(frozen=True)
class Schedule:
    """Noise levels before each step, and 0 after the last one; what the UNet is told of each, (steps,)."""

    sigmas: tuple[float, ...]
    timesteps: torch.Tensor
    initial: float  # the noise's standard deviation at the start


def schedule_for(components: Components, generation: Generation) -> Schedule:
    scheduler = components.scheduler()
    scheduler.set_timesteps(generation.num_inference_steps)
    return Schedule(tuple(scheduler.sigmas.tolist()), scheduler.timesteps, float(scheduler.init_noise_sigma))


def initial_state(
    components: Components, generation: Generation, reference: torch.Tensor | None = None
) -> State:
    """Return noise, or with a `reference`, (1, F, C, h, w), that clip noised as far as `strength` says."""
    _, noise = draw_noise(components, generation)
    schedule, noise = schedule_for(components, generation), noise.to(components.device)
    if reference is None:
        return State(0, noise * schedule.initial)
    total = generation.num_inference_steps
    begun = total - evaluations("exact", total, generation.strength)
    return State(begun, reference + schedule.sigmas[begun] * noise)


def denoise(
    components: Components,
    conditioning: Conditioning,
    start: State,
    generation: Generation,
    plan: MemoryPlan,
    hold: Hold = unheld,
) -> Iterator[Step]:
    """Yield one `Step` for each of the schedule's steps from `start` on; stop iterating to stop.

    With two `plan.cfg_passes` the UNet gets the two rows of a guided step one after the other: half the
    activations. Grad mode is entered within each step and left at each `yield`, so that the caller's is not
    touched.
    """
    unet, latents = components.unet, start.latents
    schedule = schedule_for(components, generation)
    set_chunk_tokens(unet, plan.chunk_tokens)
    with torch.inference_mode():
        timesteps = schedule.timesteps.to(components.device)
        guidance = guidance_scales(generation, latents)
        ways = (conditioning, conditioning.backwards)
        first, *others = [way.split(plan.cfg_passes) for way in ways if way is not None]

    def predicted(step: int, latents: torch.Tensor, passes: list[Conditioning]) -> torch.Tensor:
        sigma = schedule.sigmas[step]
        scaled = latents / math.hypot(sigma, 1)
        prediction = torch.cat([predict(unet, scaled, timesteps[step], rows) for rows in passes])
        if len(prediction) == 2:
            unconditional, conditional = prediction.chunk(2)
            prediction = unconditional + guidance * (conditional - unconditional)
        return denoised_of(latents.float(), prediction.float(), sigma)

    for step in range(start.step, len(timesteps)):
        sigma, following = schedule.sigmas[step : step + 2]
        with torch.inference_mode():
            denoised = predicted(step, latents, first)
            for backwards in others:
                denoised = blended(denoised, predicted(step, latents.flip(1), backwards), axis=1)
            denoised = hold(denoised)
            slope = (latents.float() - denoised) / sigma
            latents = (latents.float() + slope * (following - sigma)).to(components.dtype)
        yield Step(State(step + 1, latents), denoised)


def denoised_of(latents: torch.Tensor, velocity: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return the clip that a v-prediction means at this noise level (Karras et al. 2022, table 1)."""
    return velocity * (-sigma / math.hypot(sigma, 1)) + latents / (sigma**2 + 1)


def guidance_scales(generation: Generation, latents: torch.Tensor) -> torch.Tensor:
    """Return the (1, F, 1, 1, 1) scales of the frames, from the first one's to the last one's."""
    options = options_of(generation)
    lowest, highest = options.min_guidance_scale, options.max_guidance_scale
    scales = torch.linspace(lowest, highest, generation.num_frames)
    return scales.to(latents.device, latents.dtype).view(1, -1, 1, 1, 1)
