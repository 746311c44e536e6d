"""What a sampler does at each step, as numbers."""

from __future__ import annotations

import pytest

from i2v.engines.schedules import Schedule, ddim


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 200])
def test_there_are_as_many_timesteps_as_steps_asked_for(steps: int) -> None:
    assert len(ddim(steps).timesteps) == steps


def test_timesteps_fall() -> None:
    for wrong in ((), (5, 5), (1, 981)):
        with pytest.raises(ValueError, match="must fall"):
            Schedule(wrong)
