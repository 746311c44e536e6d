"""i2v.engines.wan.solver against diffusers' scheduler, and against the exact solution."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from i2v.engines.wan.solver import FlowSolver, History
from scripts.full_size.wan import CONFIGS

CONFIG = CONFIGS["scheduler/scheduler_config.json"]


def scheduler(steps: int, shift: float = 5.0) -> UniPCMultistepScheduler:
    made = UniPCMultistepScheduler.from_config(CONFIG, flow_shift=shift)
    made.set_timesteps(steps)
    return made


def solve(steps: int, latents: torch.Tensor, velocity: Callable[[torch.Tensor, float], torch.Tensor],
          shift: float = 5.0) -> torch.Tensor:  # fmt: skip
    solver, history = FlowSolver(tuple(scheduler(steps, shift).sigmas.tolist())), History()
    for step in range(steps):
        denoised = solver.denoised(step, latents, velocity(latents, solver.sigmas[step]))
        latents, history = solver.advance(step, latents, denoised, history)
    return latents


@pytest.mark.parametrize(("steps", "shift"), [(1, 5.0), (2, 5.0), (3, 5.0), (7, 3.0), (50, 5.0)])
def test_steps_are_diffusers(steps: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(1, 4, 2, 3, 3, generator=generator)

    def velocity(latents: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.sin(3 * latents) + sigma * latents.roll(1, -1)

    stock, latents = scheduler(steps, shift), start
    for timestep, sigma in zip(stock.timesteps, stock.sigmas.tolist(), strict=False):
        latents = stock.step(velocity(latents, sigma), timestep, latents, return_dict=False)[0]
    assert (solve(steps, start, velocity, shift) - latents).abs().max() <= 1e-5


def test_of_first_order_it_is_eulers_method() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = expected = torch.randn(1, 4, 2, 3, 3, generator=generator)
    solver, history = FlowSolver(tuple(scheduler(4).sigmas.tolist()), 1), History()
    for step in range(4):
        expected = expected + (solver.sigmas[step + 1] - solver.sigmas[step]) * torch.sin(3 * expected)
        denoised = solver.denoised(step, latents, torch.sin(3 * latents))
        latents, history = solver.advance(step, latents, denoised, history)
    assert (latents - expected).abs().max() <= 1e-5


def test_more_steps_come_nearer_to_the_solution_and_faster_than_of_first_order() -> None:
    """Of clips that are drawn from a Gaussian of mean 2 and deviation 0.5, the exact velocity is known."""
    mean, deviation = 2.0, 0.5

    def velocity(latents: torch.Tensor, sigma: float) -> torch.Tensor:
        variance = (1 - sigma) ** 2 * deviation**2 + sigma**2
        surplus = latents - (1 - sigma) * mean
        clip = mean + (1 - sigma) * deviation**2 / variance * surplus
        return sigma / variance * surplus - clip

    noise = torch.linspace(-2, 2, 5, dtype=torch.float64)
    errors = [
        float((solve(steps, noise, velocity) - (mean + deviation * noise)).abs().max())
        for steps in (10, 20, 40)
    ]
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]
