"""What only the weights of I2VGen-XL's layout need to have known of them. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from i2v.core.engine_spec import EngineSpec


@dataclass(frozen=True)
class Facts:
    """Facts of one set of weights.

    Attributes:
        image_gain: factor on the first frame's features at the UNet's input. 2.0 for the published weights,
            which were trained with the features added twice (VGen, `unet_i2vgen.py`) while diffusers adds
            them once.
        sample_posterior: draw the first frame's latents from the VAE's posterior, unseeded, as stock
            diffusers does, instead of taking the mode. Only for parity with stock.
        clip_skip: layers of the text encoder that are left out at its end.
        synonyms: phrases that the text encoder never saw, each with one of the same meaning that it did.
    """

    image_gain: float = 1.0
    sample_posterior: bool = False
    clip_skip: int = 1
    synonyms: tuple[tuple[str, str], ...] = ()

    def understood(self, prompt: str) -> str:
        """Return the prompt in words that the text encoder knows."""
        for phrase, known in self.synonyms:
            prompt = prompt.replace(phrase, known)
        return prompt


AS_STOCK = Facts(sample_posterior=True)


def facts_of(spec: EngineSpec) -> Facts:
    """Return the facts of a spec of this family."""
    if not isinstance(spec.facts, Facts):
        raise TypeError(f"{spec.name} has no facts of I2VGen-XL's family: {spec.facts!r}")
    return spec.facts
