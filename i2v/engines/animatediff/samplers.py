"""The ways from noise to latents: DDIM, and those that distilled motion modules were distilled for.

Each is what diffusers' scheduler of that kind does, in latents whose signal^2 + noise^2 = 1:

- "ddim": `DDIMScheduler`, leading timesteps.
- "trailing": `EulerDiscreteScheduler` over trailing timesteps, as AnimateDiff-Lightning's card has it (Lin
  and Yang 2024, arXiv 2403.12706). Euler over noise / signal is DDIM; it begins with the noise of its first
  timestep, not with all, and ends without any.
- "consistency": `LCMScheduler`, as AnimateLCM's card has it (Wang et al. 2024, arXiv 2402.00769): each step
  goes to the clip, and back to the next noise level with noise that is drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from diffusers import DDIMScheduler

from i2v.core.generation import Generation
from i2v.core.schedules import Schedule, consistency, ddim, trailing
from i2v.engines.animatediff.components import Components
from i2v.engines.animatediff.facts import facts_of
from i2v.engines.diffusion.solvers import Level, Solver

# Of `LCMScheduler` (its `sigma_data` and `timestep_scaling`).
_SIGMA_DATA, _TIMESTEP_SCALING = 0.5, 10.0

Kind = Literal["ddim", "trailing", "consistency"]


@dataclass(frozen=True)
class Sampler:
    """`solver` has the noise levels of `timesteps`. Noise: (1, C, F, h, w), of `shape`, by the seed."""

    kind: Kind
    timesteps: tuple[int, ...]
    solver: Solver
    seed: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    def noise(self, number: int) -> torch.Tensor:
        """Return the noise that is drawn as number `number`, on the CPU: a seed means the same everywhere.

        0 is what the clip begins with; each is drawn after those before it, so that a clip can go on from
        any step.
        """
        generator = torch.Generator("cpu").manual_seed(self.seed)
        drawn = [torch.randn(self.shape, generator=generator, dtype=self.dtype) for _ in range(number + 1)]
        return drawn[-1]

    def begun(self, noise: torch.Tensor) -> torch.Tensor:
        """Return the latents that a clip begins with."""
        return noise * self.solver.levels[0].noise if self.kind == "trailing" else noise

    def denoised(self, step: int, latents: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        """Return the clip that the network's prediction means at this step."""
        clip = self.solver.denoised(step, latents, prediction)
        if self.kind != "consistency":
            return clip
        time = self.timesteps[step] * _TIMESTEP_SCALING
        share = _SIGMA_DATA**2 / (time**2 + _SIGMA_DATA**2)  # of the latents, which is all at time 0
        out: float = time / (time**2 + _SIGMA_DATA**2) ** 0.5
        return clip * out + latents * share

    def advance(self, step: int, latents: torch.Tensor, denoised: torch.Tensor) -> torch.Tensor:
        """Return the latents at the next level."""
        if self.kind != "consistency":
            return self.solver.advance(step, latents, denoised, ())[0]
        if step + 1 == len(self.timesteps):
            return denoised
        signal, amount = self.solver.levels[step + 1]
        return signal * denoised + amount * self.noise(step + 1).to(latents.device)


def sampler_for(components: Components, generation: Generation) -> Sampler:
    """Return the sampler of one clip."""
    kind, factor = facts_of(components.source.spec).sampler, components.vae_scale_factor
    scheduler = components.scheduler()
    schedule = _schedule(kind, generation.num_inference_steps, scheduler)
    solver = Solver.over(scheduler, schedule.timesteps, schedule.order)
    if kind == "trailing":
        solver = Solver((*solver.levels[:-1], Level(1.0, 0.0)), solver.prediction_type)
    shape = (
        1,
        components.unet.config.in_channels,
        generation.num_frames,
        generation.generated_height // factor,
        generation.generated_width // factor,
    )
    return Sampler(kind, schedule.timesteps, solver, generation.seed, shape, components.dtype)


def _schedule(kind: Kind, num_inference_steps: int, scheduler: DDIMScheduler) -> Schedule:
    total = scheduler.config.num_train_timesteps
    if kind == "trailing":
        return trailing(num_inference_steps, total)
    if kind == "consistency":
        return consistency(num_inference_steps, total)
    return ddim(num_inference_steps, total, scheduler.config.steps_offset)
