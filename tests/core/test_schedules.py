"""What a sampler does at each step, as numbers."""

from __future__ import annotations

import pytest
from diffusers import DDIMScheduler

from i2v.core.schedules import Schedule, ddim, evaluations, fast, published_noise
from tests.test_embedded import PUBLISHED_SCHEDULER

STEPS = [1, 2, 7, 10, 11, 12, 25, 50, 51, 80, 100, 200]


@pytest.mark.parametrize("steps", STEPS)
def test_as_many_evaluations_are_counted_as_are_made(steps: int) -> None:
    assert len(ddim(steps).timesteps) == evaluations("exact", steps) == steps
    assert len(fast(steps).timesteps) == evaluations("fast", steps) <= steps


def test_more_steps_asked_for_are_never_fewer_made() -> None:
    counts = [evaluations("fast", steps) for steps in range(1, 201)]
    assert counts == sorted(counts)


def test_fifty_steps_are_made_with_eleven_evaluations() -> None:
    timesteps = fast(50).timesteps
    assert (len(timesteps), timesteps[0], timesteps[-1]) == (11, 990, 6)
    assert fast(50).solver == "unipc"
    assert fast(12) == fast(50)


def test_the_published_noise_is_diffusers() -> None:
    theirs = DDIMScheduler.from_config(PUBLISHED_SCHEDULER).alphas_cumprod.tolist()
    assert published_noise() == pytest.approx(theirs, abs=1e-6)
    for steps in STEPS:
        assert fast(steps, theirs) == fast(steps)


def test_another_noise_gets_timesteps_of_its_own() -> None:
    theirs = DDIMScheduler(num_train_timesteps=500, beta_schedule="scaled_linear").alphas_cumprod.tolist()
    timesteps = fast(50, theirs).timesteps
    assert 0 < timesteps[-1] < timesteps[0] < 500


def test_timesteps_fall() -> None:
    for wrong in ((), (5, 5), (1, 981)):
        with pytest.raises(ValueError, match="must fall"):
            Schedule(wrong)
