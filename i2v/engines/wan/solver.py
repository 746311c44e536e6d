"""From one noise level to the next, as Wan is published: UniPC over flow matching.

Latents are `(1 - sigma) * clip + sigma * noise` (Lipman et al. 2022, arXiv 2210.02747), and the network
predicts `noise - clip`. The solver is UniPC of order 2 in the form B2(h) (Zhao et al. 2023, arXiv 2302.04867,
appendix), step for step as diffusers' `UniPCMultistepScheduler` with `bh2`. `diffusion.solvers` has the exact
form, whose clips are others.

Coefficients are Python's numbers: nothing here waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log

import numpy as np
import torch

# What a step leaves for the next: its corrected latents, then the clips as predicted, the newest first.
History = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class FlowSolver:
    """`sigmas`: of each step's beginning, below 1, and 0 at the end.

    order: 2, or 1 for Euler's method, which looks at no earlier prediction and corrects nothing.
    """

    sigmas: tuple[float, ...]
    order: int = 2

    def denoised(self, step: int, latents: torch.Tensor, velocity: torch.Tensor) -> torch.Tensor:
        """Return the clip that the network's prediction means at this step."""
        return latents - self.sigmas[step] * velocity.to(latents.dtype)

    def advance(
        self, step: int, latents: torch.Tensor, denoised: torch.Tensor, history: History
    ) -> tuple[torch.Tensor, History]:
        """Return the latents at the next level, and what the next step must be given as `history`."""
        earlier = history[1:]
        if history and self.order > 1:
            used = earlier[: self._order(step - 1, len(earlier))]
            latents = self._corrected(step, history[0], used, denoised)
        clips = (denoised, *earlier)
        used = clips[: self._order(step, len(clips))]
        return self._predicted(step, latents, used), (latents, *clips[: self.order])

    def _order(self, step: int, known: int) -> int:
        """Return of which order a step is, with so many `known` predictions: the last one is of the first."""
        return min(self.order, len(self.sigmas) - 1 - step, known)

    def _predicted(self, step: int, latents: torch.Tensor, clips: Sequence[torch.Tensor]) -> torch.Tensor:
        """Go on from the level of `step`, where `clips[0]` was predicted, `clips[1]` a step earlier."""
        sigma = self.sigmas[step + 1]
        if not sigma:
            return clips[0]  # no noise left is the newest prediction itself
        shift = (1 - sigma) * expm1(-self._length(step))
        result = (sigma / self.sigmas[step]) * latents - shift * clips[0]
        for clip, ratio in zip(clips[1:], self._ratios(step), strict=False):
            result.add_(clip - clips[0], alpha=-shift * 0.5 / ratio)
        return result

    def _corrected(
        self, step: int, before: torch.Tensor, clips: Sequence[torch.Tensor], newest: torch.Tensor
    ) -> torch.Tensor:
        """Go once more from the step before to the level of `step`, where `newest` was predicted."""
        sigma, length = self.sigmas[step], self._length(step - 1)
        shift = (1 - sigma) * expm1(-length)
        ratios = self._ratios(step - 1)[: len(clips) - 1]
        *weights, last = _corrector(length, ratios)
        result = (sigma / self.sigmas[step - 1]) * before - shift * clips[0]
        for clip, ratio, weight in zip(clips[1:], ratios, weights, strict=True):
            result.add_(clip - clips[0], alpha=-shift * weight / ratio)
        return result.add_(newest - clips[0], alpha=-shift * last)

    def _log_snr(self, step: int) -> float:
        return log(1 - self.sigmas[step]) - log(self.sigmas[step])

    def _length(self, step: int) -> float:
        """Return how far a step goes in log(signal / noise)."""
        return self._log_snr(step + 1) - self._log_snr(step)

    def _ratios(self, step: int) -> list[float]:
        """Return where the earlier predictions lie, in lengths of this step from its beginning: below 0."""
        levels = range(step - 1, max(step - self.order, -1), -1)
        return [(self._log_snr(level) - self._log_snr(step)) / self._length(step) for level in levels]


def _corrector(length: float, ratios: Sequence[float]) -> list[float]:
    """Return the weights of the differences, the newest prediction's last."""
    if not ratios:
        return [0.5]
    order, factorial = len(ratios) + 1, 1
    whole = expm1(-length)
    phi = whole / -length - 1
    known = []
    for power in range(1, order + 1):
        known.append(phi * factorial / whole)
        factorial *= power + 1
        phi = phi / -length - 1 / factorial
    powers = np.vander(np.array([*ratios, 1.0]), increasing=True).T
    return [float(weight) for weight in np.linalg.solve(powers, np.array(known))]
