"""From one noise level to the next: DDIM and its multistep successor, with coefficients known beforehand.

Latents are `signal * clip + noise * epsilon` with signal^2 + noise^2 = 1. Both solvers hold the prediction of
the clip for constant in log(signal / noise) over a step and integrate the rest exactly, which gives

    latents' = (noise' / noise) * latents + (signal' - signal * noise' / noise) * clip

DDIM (Song et al. 2021, arXiv 2010.02502) puts its newest prediction there, DPM-Solver++(2M) (Lu et al. 2022,
arXiv 2211.01095) carries on the line through the last two. Coefficients are Python's numbers: nothing here
waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import NamedTuple

import torch
from diffusers import DDIMScheduler


class Level(NamedTuple):
    signal: float
    noise: float

    @property
    def log_snr(self) -> float:
        """Half of what is often meant: log(signal / noise)."""
        if not self.noise:
            return inf
        return log(self.signal / self.noise) if self.signal else -inf


@dataclass(frozen=True)
class Solver:
    """`levels`: of each step's beginning, and of the last one's end."""

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

    def denoised(self, step: int, latents: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        """Return the clip that the network's `prediction` means at this step."""
        signal, noise = self.levels[step]
        if self.prediction_type == "v_prediction":
            return signal * latents - noise * prediction
        if self.prediction_type == "epsilon":
            return (latents - noise * prediction) / signal
        return prediction

    def advance(
        self, step: int, latents: torch.Tensor, denoised: torch.Tensor, earlier: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return the latents at the next level; `earlier`: the last step's clip, if there was one."""
        now, then = self.levels[step], self.levels[step + 1]
        shrink = then.noise / now.noise
        if self.order > 1 and earlier and then.noise:
            length, before = then.log_snr - now.log_snr, now.log_snr - self.levels[step - 1].log_snr
            denoised = torch.lerp(denoised, earlier[0], -length / before / 2)
        return shrink * latents + (then.signal - now.signal * shrink) * denoised
