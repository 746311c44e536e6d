"""What differs between the models of this family, as data. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from i2v.core.engine_spec import EngineSpec


@dataclass(frozen=True)
class Facts:
    """One of Wan's models.

    Attributes:
        pipeline: diffusers' class, as model_index.json names it.
        transformers: the folders of what denoises, that of the highest noise first: its experts.
        expand_timesteps: the picture is the first latent frame, at time 0 (diffusers' name for it); without
            it, pictures are channels beside the latents.
        boundary_ratio: the noise below which the second expert denoises, as a part of the highest.
    """

    pipeline: str
    transformers: tuple[str, ...]
    expand_timesteps: bool
    boundary_ratio: float | None = None


def facts_of(spec: EngineSpec) -> Facts:
    assert isinstance(spec.facts, Facts), spec.name
    return spec.facts
