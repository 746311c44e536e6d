"""Where a clip stands between two denoising steps, and what a step leaves."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class State:
    """`step` steps of the schedule are done; latents (1, C, F, h, w), or with F and C changed about.

    `history`: what a multistep solver keeps of earlier steps. From a state, denoising goes on as if it had
    not stopped, under any memory plan: whatever else a step needs follows from its number.
    """

    step: int
    latents: torch.Tensor
    history: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class Step:
    """`state` after this step, and `denoised`, the clip as predicted from here, of the latents' shape."""

    state: State
    denoised: torch.Tensor
