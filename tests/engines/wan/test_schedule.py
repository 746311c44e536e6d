"""i2v.engines.wan.schedule against diffusers' scheduler."""

from __future__ import annotations

import pytest

from i2v.engines.wan.schedule import first_steps, timesteps_of
from tests.engines.wan.test_solver import scheduler


@pytest.mark.parametrize("steps", [1, 4, 20, 40, 50])
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 12.0])
def test_times_are_diffusers_own(steps: int, shift: float) -> None:
    assert timesteps_of(steps, shift) == scheduler(steps, shift).timesteps.tolist()


def test_the_first_expert_has_the_steps_down_to_the_boundary() -> None:
    times = [999, 937, 900, 899, 624]
    assert [first_steps(times, ratio) for ratio in (None, 0.9, 1.0, 0.0)] == [5, 3, 0, 5]
