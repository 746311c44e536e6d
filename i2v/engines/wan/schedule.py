"""The levels of noise that the steps begin at, and which of them are whose. Imports no torch."""

from __future__ import annotations

TRAIN_TIMESTEPS = 1000  # of the published scheduler
_MOST = 1 - 1e-6  # of a level: where there is nothing but noise, its logarithm would be infinite


def timesteps_of(steps: int, flow_shift: float) -> list[int]:
    """Return each step's time, the highest noise first, as diffusers' `UniPCMultistepScheduler` has them.

    Of flow sigmas (Esser et al. 2024, arXiv 2403.03206, section 5.3.2): evenly spread, then shifted.
    """
    length = (1 / TRAIN_TIMESTEPS - 1) / steps
    spread = [1 + step * length for step in range(steps)]
    sigmas = [flow_shift * each / (1 + (flow_shift - 1) * each) for each in spread]
    return [int(TRAIN_TIMESTEPS * min(sigma, _MOST)) for sigma in sigmas]


def first_steps(timesteps: list[int], boundary_ratio: float | None) -> int:
    """Return how many steps the first expert denoises: those down to the boundary, all without one."""
    if boundary_ratio is None:
        return len(timesteps)
    return sum(time >= boundary_ratio * TRAIN_TIMESTEPS for time in timesteps)
