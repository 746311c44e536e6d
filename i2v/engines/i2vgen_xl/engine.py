"""The engine: components loaded once, and the story of one clip in one function."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Self

import torch
from PIL import Image

from i2v.engines.base import Conditioned, Denoised, Event
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import condition
from i2v.engines.i2vgen_xl.decode import decode_frames, preview
from i2v.engines.i2vgen_xl.sampling import denoise, initial_noise
from i2v.schema import EngineSpec, Generation, MemoryPlan


class I2VGenXLEngine:
    """I2VGen-XL for any weights of its layout: the published ones and the embedded demo model."""

    def __init__(self, spec: EngineSpec, components: Components, plan: MemoryPlan) -> None:
        self.spec = spec
        self.components = components
        self.plan = plan

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Self:
        """Load weights from `folder`; raises `ModelUnavailable` naming the file or tensor that is wrong."""
        if plan.threads:
            torch.set_num_threads(plan.threads)
        return cls(spec, load_components(spec, folder, plan), plan)

    def generate(self, generation: Generation, image: Image.Image) -> Generator[Event]:
        """Yield `Conditioned`, `Denoised` for each step, `Decoded` chunks (see `i2v.engines.base.Engine`)."""
        components, spec = self.components, self.spec
        conditioning = condition(components, spec, generation, image)
        yield Conditioned(conditioning.notices)
        latents = initial_noise(components, generation)
        total = generation.num_inference_steps
        steps = denoise(components, conditioning, latents, total, generation.guidance_scale)
        for number, step in enumerate(steps, start=1):
            latents = step.latents
            yield Denoised(number, total, preview(step.denoised, spec.preview_factors))
        yield from decode_frames(components.vae, latents, self.plan.decode_chunk)
