"""The denoising loop: noise to latents, one yielded step at a time.

Classifier-free guidance (Ho and Salimans 2022) over flow matching, step for step as diffusers'
`WanImageToVideoPipeline` runs it with `expand_timesteps`: the picture is the first latent frame, at time 0.
The loop knows no pixels and never waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.wan.components import Components
from i2v.engines.wan.conditioning import Conditioning
from i2v.engines.wan.options import options_of
from i2v.engines.wan.solver import FlowSolver, History
from i2v.engines.wan.transformer import predict


@dataclass(frozen=True)
class State:
    """Where a clip stands between two steps: `step` of them are done; latents (1, C, F, h, w) float32.

    `history`: what the solver keeps of earlier steps. From a state, denoising goes on as if it had not
    stopped, under any memory plan.
    """

    step: int
    latents: torch.Tensor
    history: History = ()


@dataclass(frozen=True)
class Step:
    """`state` after this step, and `denoised`, the clip as predicted from here, (1, C, F, h, w)."""

    state: State
    denoised: torch.Tensor


def initial_state(components: Components, generation: Generation) -> State:
    """Draw noise as stock does: on the CPU, so that a seed means the same on every device."""
    factor, config = components.vae_scale_factor, components.vae.config
    shape = (
        1,
        config.z_dim,
        (generation.num_frames - 1) // config.scale_factor_temporal + 1,
        generation.generated_height // factor,
        generation.generated_width // factor,
    )
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    return State(0, torch.randn(shape, generator=generator).to(components.device))


def denoise(
    components: Components,
    conditioning: Conditioning,
    start: State,
    generation: Generation,
    plan: MemoryPlan,
) -> Iterator[Step]:
    """Yield one `Step` for each of the schedule's steps from `start` on; stop iterating to stop.

    With two `plan.cfg_passes` the transformer gets the two rows of a guided step one after the other: half
    the activations. Grad mode is entered within each step and left at each `yield`, so that the caller's is
    not touched.
    """
    latents, history = start.latents, start.history
    scheduler = components.scheduler(options_of(generation).flow_shift)
    scheduler.set_timesteps(generation.num_inference_steps)
    solver = FlowSolver(tuple(scheduler.sigmas.tolist()))
    with torch.inference_mode():
        timesteps = scheduler.timesteps.to(components.device)
        passes = conditioning.split(plan.cfg_passes)
    for step in range(start.step, len(timesteps)):
        with torch.inference_mode():
            given, time = conditioning.placed(latents), timesteps[step]
            velocity = torch.cat(
                [predict(components.transformer, given, time, text, plan.chunk_tokens) for text in passes]
            )
            if len(velocity) == 2:
                unconditional, conditional = velocity.chunk(2)
                velocity = unconditional + generation.guidance_scale * (conditional - unconditional)
            denoised = solver.denoised(step, latents, velocity)
            latents, history = solver.advance(step, latents, denoised, history)
            if step + 1 == len(timesteps):
                latents = conditioning.placed(latents)
            denoised = conditioning.placed(denoised)
        yield Step(State(step + 1, latents, history), denoised)
