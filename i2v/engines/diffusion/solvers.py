"""From one noise level to the next: DDIM and a multistep solver, with coefficients known beforehand.

Latents are `signal * clip + noise * epsilon` with signal^2 + noise^2 = 1. With l = log(signal / noise), the
latents at a level follow from those at an earlier one and from the clip D(l) that is predicted between them:

    latents' / noise' = latents / noise + integral of e^l D(l) dl

Order 1 holds D at its newest prediction, which is DDIM (Song et al. 2021, arXiv 2010.02502). A higher order
lays a polynomial through the newest predictions, as many as its order, and integrates it exactly: to go on
(predictor), and once more over the last step when a prediction at its end is there (corrector). That is UniPC
(Zhao et al. 2023, arXiv 2302.04867) in its exact form: a correction costs no evaluation of the network.

Coefficients are Python's numbers: nothing here waits for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import NamedTuple

import numpy as np
import torch
from diffusers import DDIMScheduler

# What a step leaves for the next: its corrected latents, then the clips as predicted, the newest first.
History = tuple[torch.Tensor, ...]
# What a predicted clip is held to, before the step goes on from it: (1, C, F, h, w) or (1, F, C, h, w) again.
Hold = Callable[[torch.Tensor], torch.Tensor]


def unheld(denoised: torch.Tensor) -> torch.Tensor:
    """Hold the clip to nothing."""
    return denoised


class Level(NamedTuple):
    """How much of latents is signal, and how much noise."""

    signal: float
    noise: float

    @property
    def log_snr(self) -> float:
        if not self.noise:
            return inf
        return log(self.signal / self.noise) if self.signal else -inf


@dataclass(frozen=True)
class Solver:
    """`levels`: of each step's beginning, and the last one's end. Only order 1 may begin without signal."""

    levels: tuple[Level, ...]
    prediction_type: str
    order: int = 1

    @classmethod
    def over(cls, scheduler: DDIMScheduler, timesteps: Sequence[int], order: int) -> Solver:
        """Take the noise levels of a model's own scheduler."""
        kept = [float(scheduler.alphas_cumprod[timestep]) for timestep in timesteps]
        kept.append(float(scheduler.final_alpha_cumprod))
        levels = tuple(Level(sqrt(share), sqrt(1 - share)) for share in kept)
        return cls(levels, scheduler.config.prediction_type, order)

    def noised(self, step: int, clip: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the latents at the beginning of `step` of a `clip` that is known."""
        signal, amount = self.levels[step]
        return signal * clip + amount * noise

    def denoised(self, step: int, latents: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        """Return the clip that the network's `prediction` means at this step."""
        signal, noise = self.levels[step]
        if self.prediction_type == "v_prediction":
            return signal * latents - noise * prediction
        if self.prediction_type == "epsilon":
            return (latents - noise * prediction) / signal
        return prediction

    def advance(
        self, step: int, latents: torch.Tensor, denoised: torch.Tensor, history: History
    ) -> tuple[torch.Tensor, History]:
        """Return the latents at the next level, and what the next step must be given as `history`."""
        if self.order == 1:
            return self._integrated(step, latents, (denoised,), step), ()
        if history:
            before, *earlier = history
            clips = (denoised, *earlier)[: self.order]
            latents = self._integrated(step - 1, before, clips, step)
        else:
            clips = (denoised,)
        return self._integrated(step, latents, clips, step), (latents, *clips[: self.order - 1])

    def _integrated(
        self, step: int, latents: torch.Tensor, clips: Sequence[torch.Tensor], newest: int
    ) -> torch.Tensor:
        """Go from the level of `step` to the next; `clips[k]` was predicted at step `newest` - k."""
        now, then = self.levels[step], self.levels[step + 1]
        shrink = then.noise / now.noise
        if len(clips) == 1 or not then.noise:  # no noise left is the newest prediction itself
            return shrink * latents + (then.signal - now.signal * shrink) * clips[0]
        nodes = [self.levels[newest - k].log_snr for k in range(len(clips))]
        result = shrink * latents
        for weight, clip in zip(weights(now.log_snr, then.log_snr, nodes), clips, strict=True):
            result.add_(clip, alpha=then.signal * weight)
        return result


def weights(low: float, high: float, nodes: Sequence[float]) -> list[float]:
    """Return w with sum w[k] P(nodes[k]) = integral from low to high of e^(l - high) P(l) dl.

    For every polynomial P of a degree below the number of nodes.
    """
    length = high - low
    moments = [1 - exp(-length)]  # of (l - high)^k
    for k in range(1, len(nodes)):
        moments.append(-((-length) ** k) * exp(-length) - k * moments[-1])
    powers = np.vander(np.array(nodes) - high, increasing=True).T
    return [float(weight) for weight in np.linalg.solve(powers, np.array(moments))]
