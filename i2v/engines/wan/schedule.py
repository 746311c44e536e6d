"""The levels of noise that the steps begin at, and which of them are whose. Imports no torch."""

from __future__ import annotations

TRAIN_TIMESTEPS = 1000  # of the published scheduler


def timesteps_of(steps: int, flow_shift: float) -> list[int]:
    """Return each step's time, the highest noise first, as diffusers' `UniPCMultistepScheduler` has them.

    Of flow sigmas (Esser et al. 2024, arXiv 2403.03206, section 5.3.2): evenly spread, then shifted.
    """
    spread = [(1 - 1 / TRAIN_TIMESTEPS) * step / steps for step in range(steps, 0, -1)]
    return [int(TRAIN_TIMESTEPS * flow_shift * each / (1 + (flow_shift - 1) * each)) for each in spread]


def first_steps(timesteps: list[int], boundary_ratio: float | None) -> int:
    """Return how many steps the first expert denoises: those down to the boundary, all without one."""
    if boundary_ratio is None:
        return len(timesteps)
    return sum(time >= boundary_ratio * TRAIN_TIMESTEPS for time in timesteps)
