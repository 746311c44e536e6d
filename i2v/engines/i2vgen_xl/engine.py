"""The engine: components loaded once, and the story of one clip in one function."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from PIL import Image

from i2v.engines.base import Conditioned, Denoised, Event
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import condition
from i2v.engines.i2vgen_xl.decode import decode_frames, preview
from i2v.engines.i2vgen_xl.sampling import denoise, initial_noise
from i2v.errors import InsufficientMemory
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
        plan = replace(plan, threads=torch.get_num_threads())
        return cls(spec, load_components(spec, folder, plan), plan)

    def generate(self, generation: Generation, image: Image.Image) -> Generator[Event]:
        """Yield the events of one clip (see `i2v.engines.base.Engine`).

        Raises:
            InsufficientMemory: the device ran out of memory.
        """
        try:
            yield from self._events(generation, image)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise out_of_memory(error) from error
        except RuntimeError as error:
            # torch's words on the CPU, which have no type of their own
            if "can't allocate memory" not in str(error):
                raise
            raise out_of_memory(error) from error

    def _events(self, generation: Generation, image: Image.Image) -> Generator[Event]:
        components, spec, plan = self.components, self.spec, self.plan
        with components.on_device(components.text_encoder, components.image_encoder, components.vae):
            conditioning = condition(components, spec, generation, image)
        yield Conditioned(conditioning.notices)
        latents = initial_noise(components, generation)
        total = generation.num_inference_steps
        scale = generation.guidance_scale
        steps = denoise(components, conditioning, latents, total, scale, plan.cfg_passes, plan.chunk_tokens)
        with components.on_device(components.unet):
            for number, step in enumerate(steps, start=1):
                latents = step.latents
                yield Denoised(number, total, preview(step.denoised, spec.preview_factors))
        with components.on_device(components.vae):
            yield from decode_frames(components.vae, latents, plan.decode_chunk, plan.vae_tiling)


def out_of_memory(error: BaseException) -> InsufficientMemory:
    """Return what to tell the person, with the first sentence of torch's own words."""
    reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
    return InsufficientMemory("engine.out_of_memory", reason=reason[:200])
