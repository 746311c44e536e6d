"""The denoising loop: noise to latents, one yielded step at a time.

Classifier-free guidance (Ho and Salimans 2022) over DDIM (Song et al. 2021), or over the steps that distilled
weights are made for (`samplers`), as diffusers' `AnimateDiffSparseControlNetPipeline` runs them. The loop
knows no pixels and never waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.engines.animatediff.components import Components
from i2v.engines.animatediff.conditioning import Conditioning
from i2v.engines.animatediff.options import options_of
from i2v.engines.animatediff.samplers import sampler_for
from i2v.engines.animatediff.unet import predict
from i2v.engines.diffusion.feed_forward import set_chunk_tokens
from i2v.engines.diffusion.solvers import Hold, unheld
from i2v.engines.diffusion.state import State, Step


def initial_state(
    components: Components, generation: Generation, reference: torch.Tensor | None = None
) -> State:
    """Return noise, or with a `reference`, (1, C, F, h, w), that clip noised as far as `strength` says.

    It is drawn as stock does: on the CPU, so that a seed means the same on every device.
    """
    sampler = sampler_for(components, generation)
    noise = sampler.noise(0).to(components.device)
    if reference is None:
        return State(0, sampler.begun(noise))
    total = len(sampler.timesteps)
    step = total - evaluations(generation.speed, total, generation.strength)
    return State(step, sampler.solver.noised(step, reference, noise))


def denoise(
    components: Components,
    conditioning: Conditioning,
    start: State,
    generation: Generation,
    plan: MemoryPlan,
    hold: Hold = unheld,
) -> Iterator[Step]:
    """Yield one `Step` for each of the schedule's steps from `start` on; stop iterating to stop.

    With two `plan.cfg_passes` the networks get the two rows of a guided step one after the other: half the
    activations. Grad mode is entered within each step and left at each `yield`, so that the caller's is not
    touched.
    """
    unet, controlnet, latents = components.unet, components.controlnet, start.latents
    sampler = sampler_for(components, generation)
    scale = options_of(generation).controlnet_conditioning_scale
    for part in (unet, controlnet):
        set_chunk_tokens(part, plan.chunk_tokens)
    with torch.inference_mode():
        timesteps = torch.tensor(sampler.timesteps).to(components.device)
        passes = conditioning.split(plan.cfg_passes)
    for step in range(start.step, len(timesteps)):
        with torch.inference_mode():
            prediction = torch.cat(
                [predict(unet, controlnet, latents, timesteps[step], rows, scale) for rows in passes]
            )
            if len(prediction) == 2:
                unconditional, conditional = prediction.chunk(2)
                prediction = unconditional + generation.guidance_scale * (conditional - unconditional)
            denoised = hold(sampler.denoised(step, latents, prediction))
            latents = sampler.advance(step, latents, denoised)
        yield Step(State(step + 1, latents), denoised)
