"""The engine, looking at every number: `i2v bench` runs it where half precision might break.

It makes a clip the plain way, without recovery, and waits for the device at each step: it is not for use.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import torch

from i2v.core.errors import I2VError
from i2v.core.generation import Generation
from i2v.engines.base import NO_LADDER, Conditioned, Denoised, Event, Inputs, Ladder
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.diffusion.engine import preview
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.conditioning import condition
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.sampling import denoise, initial_state, schedule_for


class FiniteEngine(I2VGenXLEngine):
    """Raises `I2VError` (`bench.not_finite`) at the first step with a number that is NaN or infinite."""

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        components, spec, plan = self.components, self.spec, self.plan
        with components.on_device(components.text_encoder, components.image_encoder, components.vae):
            conditioning = condition(components, spec, generation, inputs.image)
        _check("prompt", 0, conditioning.prompt_embeds)
        _check("picture", 0, conditioning.image_embeddings, conditioning.image_latents)
        yield Conditioned(conditioning.notices)
        state, schedule = initial_state(components, generation), schedule_for(components, generation)
        with components.on_device(components.unet):
            forward = Forward(operations=self.operations)
            for step in denoise(components, conditioning, state, generation, plan, schedule, forward):
                state = step.state
                _check("latents", state.step, state.latents, step.denoised)
                shown = partial(preview, step.denoised, spec.preview_factors)
                yield Denoised(state.step, len(schedule.timesteps), shown)
        with components.on_device(components.vae):
            yield from decode_frames(
                components.vae, state.latents, plan.decode_chunk, plan.vae_tiling, self.operations
            )


def _check(what: str, step: int, *tensors: torch.Tensor) -> None:
    for tensor in tensors:
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        if wrong:
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise I2VError("bench.not_finite", what=what, step=step, count=wrong, dtype=dtype)
