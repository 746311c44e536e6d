"""Solvers against diffusers' schedulers, on the published noise schedule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from i2v.engines.i2vgen_xl.solvers import Solver
from i2v.engines.schedules import Schedule, ddim
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
    earlier: tuple[torch.Tensor, ...] = ()
    for step, timestep in enumerate(schedule.timesteps):
        denoised = solver.denoised(step, latents, network(latents, timestep))
        latents = solver.advance(step, latents, denoised, earlier)
        earlier = (denoised,)
        seen.append(latents)
    return seen


def diffusers_run(scheduler: DDIMScheduler | DPMSolverMultistepScheduler) -> list[torch.Tensor]:
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


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with numpy 2
def test_second_order_is_diffusers_dpm_solver_on_the_same_timesteps() -> None:
    timesteps = (981, 900, 750, 620, 480, 333, 200, 90, 30, 1)
    theirs = DPMSolverMultistepScheduler.from_config(
        PUBLISHED_SCHEDULER, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero",
        lower_order_final=False, euler_at_final=True,
    )  # fmt: skip
    theirs.set_timesteps(timesteps=list(timesteps))
    ours = run(DDIMScheduler.from_config(PUBLISHED_SCHEDULER), Schedule(timesteps, order=2))
    assert_close(ours, diffusers_run(theirs))


def test_the_first_timestep_may_be_pure_noise() -> None:
    seen = run(DDIMScheduler.from_config(PUBLISHED_SCHEDULER), Schedule((999, 700, 400, 100), order=2))
    assert all(latents.isfinite().all() for latents in seen)
