"""The denoising loop: noise to latents, one yielded step at a time.

Classifier-free guidance (Ho and Salimans 2022) over a solver. At `speed` "exact" it is DDIM, step for step
as diffusers' `I2VGenXLPipeline` runs it. The loop knows neither prompts nor pixels, and never waits for the
device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import Schedule, ddim, evaluations, fast
from i2v.engines.diffusion.both_ends import blended
from i2v.engines.diffusion.solvers import Hold, Solver, unheld
from i2v.engines.diffusion.state import State, Step
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.components import Components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.unet import ClipContext, UNet

# Tokens that a transformer takes at a time on a CPU. More are not faster there, and what is held of these is
# little next to a large clip's activations. On CUDA chunks only cost: it takes all, where memory allows it.
CHUNK_TOKENS = 2**14

# What computes a prediction: UNet, latents, timestep, the clip's context, tokens at a time (`UNet.forward`).
Predict: TypeAlias = Callable[[UNet, torch.Tensor, torch.Tensor, ClipContext, int], torch.Tensor]


def initial_state(
    components: Components, generation: Generation, reference: torch.Tensor | None = None
) -> State:
    """Return noise, or with a `reference`, (1, C, F, h, w), that clip noised as far as `strength` says."""
    noise = initial_noise(components, generation)
    if reference is None:
        return State(0, noise)
    schedule = schedule_for(components, generation)
    total = len(schedule.timesteps)
    begun = total - evaluations(generation.speed, generation.num_inference_steps, generation.strength)
    solver = Solver.over(components.scheduler(), schedule.timesteps, schedule.order)
    return State(begun, solver.noised(begun, reference, noise))


def initial_noise(components: Components, generation: Generation) -> torch.Tensor:
    """Draw (1, C, F, h, w) noise as stock does: on the CPU, so that a seed means the same on every device."""
    factor = components.vae_scale_factor
    shape = (
        1,
        components.unet.config.in_channels,
        generation.num_frames,
        generation.generated_height // factor,
        generation.generated_width // factor,
    )
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    return torch.randn(shape, generator=generator, dtype=components.dtype).to(components.device)


def schedule_for(components: Components, generation: Generation) -> Schedule:
    """Return what `generation` asks, over the model's own noise."""
    scheduler, steps = components.scheduler(), generation.num_inference_steps
    if generation.speed == "fast":
        return fast(steps, scheduler.alphas_cumprod.tolist())
    return ddim(steps, scheduler.config.num_train_timesteps, scheduler.config.steps_offset)


def denoise(
    components: Components,
    conditioning: Conditioning,
    start: State,
    generation: Generation,
    plan: MemoryPlan,
    schedule: Schedule | None = None,
    forward: Predict | None = None,
    hold: Hold = unheld,
) -> Iterator[Step]:
    """Yield one `Step` for each of the schedule's steps from `start` on; stop iterating to stop.

    With two `plan.cfg_passes` the UNet gets the two rows of a guided step one after the other: half the
    activations. Grad mode is entered within each step and left at each `yield`, so that the caller's is not
    touched.
    """
    unet, latents, history = components.unet, start.latents, start.history
    schedule = schedule or schedule_for(components, generation)
    forward = forward or Forward(plan.compile)
    solver = Solver.over(components.scheduler(), schedule.timesteps, schedule.order)
    chunk_tokens = plan.chunk_tokens or (0 if plan.device == "cuda" else CHUNK_TOKENS)
    with torch.inference_mode():
        timesteps = torch.tensor(schedule.timesteps).to(components.device)
        ways = (conditioning, conditioning.backwards)
        first, *others = [
            [unet.encode_context(rows) for rows in way.split(plan.cfg_passes)]
            for way in ways
            if way is not None
        ]

    def predicted(step: int, latents: torch.Tensor, passes: list[ClipContext]) -> torch.Tensor:
        prediction = torch.cat(
            [forward(unet, latents, timesteps[step], rows, chunk_tokens) for rows in passes]
        )
        if len(prediction) == 2:
            unconditional, conditional = prediction.chunk(2)
            prediction = unconditional + generation.guidance_scale * (conditional - unconditional)
        return solver.denoised(step, latents, prediction)

    for step in range(start.step, len(timesteps)):
        with torch.inference_mode():
            denoised = predicted(step, latents, first)
            for backwards in others:
                denoised = blended(denoised, predicted(step, latents.flip(2), backwards), axis=2)
            denoised = hold(denoised)
            latents, history = solver.advance(step, latents, denoised, history)
        yield Step(State(step + 1, latents, history), denoised)
