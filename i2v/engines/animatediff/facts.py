"""What only the weights of this family need to have known of them. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from i2v.core.engine_spec import EngineSpec
from i2v.core.model_spec import ModelSpec


@dataclass(frozen=True)
class Facts:
    """Facts of one set of weights.

    Attributes:
        beta_schedule: the noise that the motion adapter was trained on, whatever its base was: linear for
            the published ones (AnimateDiff's `configs/inference`).
        sampler: "ddim", or the way that distilled weights were distilled for: "trailing" (Lightning: Euler
            over trailing timesteps) or "consistency" (AnimateLCM).
        motion_files: number of steps and stem of the motion module's file, the usual one first; empty: there
            is one for all.
        own_loras: files of the model's folder, and how strongly each is applied.
        sample_posterior: draw the pictures' latents from the VAE's posterior, unseeded, as stock diffusers
            does, instead of taking the mode. Only for parity with stock.
    """

    beta_schedule: str = "linear"
    sampler: Literal["ddim", "trailing", "consistency"] = "ddim"
    motion_files: tuple[tuple[int, str], ...] = ()
    own_loras: tuple[tuple[str, float], ...] = ()
    sample_posterior: bool = False


AS_STOCK = Facts(sample_posterior=True)


def facts_of(spec: ModelSpec) -> Facts:
    """Return the facts of a spec of this family."""
    if not isinstance(spec, EngineSpec) or not isinstance(spec.facts, Facts):
        raise TypeError(f"{spec.name} has no facts of AnimateDiff's family")
    return spec.facts
