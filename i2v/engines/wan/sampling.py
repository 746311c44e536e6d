"""The denoising loop: noise to latents, one yielded step at a time.

Classifier-free guidance (Ho and Salimans 2022) over flow matching, step for step as diffusers'
`WanImageToVideoPipeline` runs it. Of two experts each has its own part of the steps and its own guidance, and
is on the device for these alone. The loop knows no pixels and never waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from diffusers import WanTransformer3DModel

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.engines.diffusion.solvers import Hold, unheld
from i2v.engines.diffusion.state import State, Step
from i2v.engines.wan.components import Components
from i2v.engines.wan.conditioning import Conditioning
from i2v.engines.wan.options import WanOptions
from i2v.engines.wan.schedule import first_steps
from i2v.engines.wan.solver import FlowSolver
from i2v.engines.wan.transformer import predict


def initial_state(
    components: Components,
    generation: Generation,
    options: WanOptions,
    reference: torch.Tensor | None = None,
) -> State:
    """Return noise, or with a `reference`, (1, C, F, h, w), that clip noised as far as `strength` says.

    It is drawn as stock does: on the CPU, so that a seed means the same on every device.
    """
    factor, config = components.vae_scale_factor, components.vae.config
    shape = (
        1,
        config.z_dim,
        (generation.num_frames - 1) // config.scale_factor_temporal + 1,
        generation.generated_height // factor,
        generation.generated_width // factor,
    )
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    noise = torch.randn(shape, generator=generator).to(components.device)
    if reference is None:
        return State(0, noise)
    scheduler, total = components.scheduler(options.flow_shift), generation.num_inference_steps
    scheduler.set_timesteps(total)
    begun = total - evaluations("exact", total, generation.strength)
    sigma = float(scheduler.sigmas[begun])
    return State(begun, (1 - sigma) * reference + sigma * noise)


def denoise(
    components: Components,
    conditioning: Conditioning,
    start: State,
    generation: Generation,
    options: WanOptions,
    plan: MemoryPlan,
    hold: Hold = unheld,
) -> Iterator[Step]:
    """Yield one `Step` for each of the schedule's steps from `start` on; stop iterating to stop.

    With two `plan.cfg_passes` a transformer gets the two rows of a guided step one after the other: half
    the activations. Grad mode is entered within each step and left at each `yield`, so that the caller's is
    not touched.
    """
    latents, history = start.latents, start.history
    scheduler = components.scheduler(options.flow_shift)
    scheduler.set_timesteps(generation.num_inference_steps)
    solver = FlowSolver(tuple(scheduler.sigmas.tolist()), 1 if options.euler else 2)
    with torch.inference_mode():
        timesteps = scheduler.timesteps.to(components.device)
    bounds = (0, first_steps(scheduler.timesteps.tolist(), options.boundary), len(timesteps))
    experts = zip(
        components.transformers, options.scales(generation.guidance_scale), pairwise(bounds), strict=False
    )
    for transformer, scale, (begin, end) in experts:
        if start.step >= end or begin == end:
            continue
        with components.on_device(transformer):
            for step in range(max(begin, start.step), end):
                with torch.inference_mode():
                    velocity = _velocity(transformer, conditioning, latents, timesteps[step], scale, plan)
                    denoised = hold(solver.denoised(step, latents, velocity))
                    latents, history = solver.advance(step, latents, denoised, history)
                    if step + 1 == len(timesteps):
                        latents = conditioning.placed(latents)
                    denoised = conditioning.placed(denoised)
                yield Step(State(step + 1, latents, history), denoised)


def _velocity(
    transformer: WanTransformer3DModel,
    conditioning: Conditioning,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    scale: float,
    plan: MemoryPlan,
) -> torch.Tensor:
    """Return the (1, C, F, h, w) velocity at the latents, guided where `scale` is above 1."""
    given, still = conditioning.given(latents), conditioning.first_frame is not None
    velocity = torch.cat(
        [
            predict(transformer, given, timestep, text, plan.chunk_tokens, first_is_still=still)
            for text in conditioning.rows(scale, plan.cfg_passes)
        ]
    )
    if len(velocity) == 1:
        return velocity
    unconditional, conditional = velocity.chunk(2)
    return unconditional + scale * (conditional - unconditional)
