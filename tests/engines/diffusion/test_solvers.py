"""Solvers against diffusers' scheduler and against solutions that are known, on the published noise."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest
import torch
from diffusers import DDIMScheduler

from i2v.core.schedules import Schedule, ddim
from i2v.engines.diffusion.solvers import Level, Solver, weights
from tests.test_embedded import PUBLISHED_SCHEDULER

Network = Callable[[torch.Tensor, int], torch.Tensor]


def network(latents: torch.Tensor, timestep: int) -> torch.Tensor:
    """Some smooth prediction."""
    return torch.tanh(latents * (0.2 + timestep / 1000)) + 0.1 * latents.flip(-1)


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(3))


def run(scheduler: DDIMScheduler, schedule: Schedule) -> list[torch.Tensor]:
    solver = Solver.over(scheduler, schedule.timesteps, schedule.order)
    latents, seen = noise(), []
    history: tuple[torch.Tensor, ...] = ()
    for step, timestep in enumerate(schedule.timesteps):
        denoised = solver.denoised(step, latents, network(latents, timestep))
        latents, history = solver.advance(step, latents, denoised, history)
        seen.append(latents)
    return seen


def diffusers_run(scheduler: DDIMScheduler) -> list[torch.Tensor]:
    latents, seen = noise(), []
    for timestep in scheduler.timesteps:
        latents = scheduler.step(network(latents, int(timestep)), timestep, latents).prev_sample
        seen.append(latents)
    return seen


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3, 7, 50])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prediction_type": "epsilon", "rescale_betas_zero_snr": False},
        {"prediction_type": "sample", "steps_offset": 0},
        {"beta_schedule": "scaled_linear", "set_alpha_to_one": False},
    ],
    ids=str,
)
def test_ddim_is_diffusers_ddim(changes: dict[str, object], steps: int) -> None:
    config = {**PUBLISHED_SCHEDULER, **changes}
    theirs = DDIMScheduler.from_config(config)
    theirs.set_timesteps(steps)
    schedule = ddim(steps, theirs.config.num_train_timesteps, theirs.config.steps_offset)
    assert list(schedule.timesteps) == theirs.timesteps.tolist()
    assert_close(run(DDIMScheduler.from_config(config), schedule), diffusers_run(theirs))


def test_weights_integrate_polynomials_exactly() -> None:
    low, high, nodes = -1.3, -0.4, [-1.3, -2.0, -3.5]
    points = torch.linspace(low, high, 20001, dtype=torch.float64)
    for power in range(3):
        expected = torch.trapezoid((points - high).exp() * points**power, points)
        found = sum(w * node**power for w, node in zip(weights(low, high, nodes), nodes, strict=True))
        assert found == pytest.approx(float(expected), abs=1e-8)


def errors(order: int) -> list[float]:
    """Errors at 12, 24 and 48 steps to the solution for clips of one Gaussian, whose best guess is known."""
    spread = 0.5
    found = []
    for steps in (12, 24, 48):
        levels = log_snr_levels(steps)
        solver = Solver(levels, "sample", order)
        latents = noise().double()
        first = levels[0]
        size = (first.signal**2 * spread**2 + first.noise**2) ** 0.5
        expected = latents / size * spread  # each quantile goes to the same one
        history: tuple[torch.Tensor, ...] = ()
        for step, level in enumerate(levels[:-1]):
            share = level.signal * spread**2 / (level.signal**2 * spread**2 + level.noise**2)
            latents, history = solver.advance(step, latents, share * latents, history)
        found.append(float((latents - expected).abs().max()))
    return found


def log_snr_levels(steps: int) -> tuple[Level, ...]:
    values = [-4 + 8 * k / (steps - 1) for k in range(steps)]
    signals = [1 / (1 + exp(-2 * value)) ** 0.5 for value in values]
    return (*(Level(signal, (1 - signal**2) ** 0.5) for signal in signals), Level(1.0, 0.0))


def test_a_higher_order_is_nearer_and_gains_more_from_more_steps() -> None:
    first, third = errors(1), errors(3)
    assert all(fine < coarse for fine, coarse in zip(third, first, strict=True))
    # halving the step: 2 of order 1; more than 4 of order 3, up to where the last step's own error remains
    assert first[0] / first[1] == pytest.approx(2, rel=0.25)
    assert third[0] / third[1] > 4


def test_a_clip_that_does_not_change_is_reached_in_one_step() -> None:
    clip = noise()
    levels = log_snr_levels(5)
    solver, latents = Solver(levels, "sample", 3), levels[0].signal * clip
    history: tuple[torch.Tensor, ...] = ()
    for step in range(5):
        latents, history = solver.advance(step, latents, clip, history)
        assert torch.allclose(latents, levels[step + 1].signal * clip, atol=1e-5)
