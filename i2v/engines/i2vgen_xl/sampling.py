"""The denoising loop: noise to latents, one yielded step at a time.

DDIM (Song et al. 2021) with classifier-free guidance (Ho and Salimans 2022), step for step as diffusers'
`I2VGenXLPipeline` runs it. The loop knows neither prompts nor pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from i2v.engines.i2vgen_xl.components import Components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.unet import encode_context, predict
from i2v.schema import Generation

# Tokens that a transformer takes at a time. More are not faster on a CPU, and what is held of these is little
# next to a large clip's activations.
CHUNK_TOKENS = 2**14


@dataclass(frozen=True)
class Step:
    """`latents` after this step and `denoised`, the clip as predicted from here, both (1, C, F, h, w)."""

    latents: torch.Tensor
    denoised: torch.Tensor


def initial_noise(components: Components, generation: Generation) -> torch.Tensor:
    """Draw (1, C, F, h, w) noise as stock does: on the CPU, so that a seed means the same on every device."""
    factor = components.vae_scale_factor
    shape = (
        1,
        components.unet.config.in_channels,
        generation.num_frames,
        generation.generated_height // factor,
        generation.generated_width // factor,
    )
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    noise = torch.randn(shape, generator=generator, dtype=components.dtype)
    sigma: float = components.scheduler().init_noise_sigma
    return noise.to(components.device) * sigma


def denoise(
    components: Components,
    conditioning: Conditioning,
    latents: torch.Tensor,
    num_inference_steps: int,
    guidance_scale: float,
    cfg_passes: int = 1,
    chunk_tokens: int = 0,
) -> Iterator[Step]:
    """Yield one `Step` for each of the scheduler's timesteps; stop iterating to stop.

    With `cfg_passes` 2 the UNet gets the two rows of a guided step one after the other: half the activations.
    `chunk_tokens`: what its transformers take at a time, 0 for what is fast.
    Grad mode is entered within each step and left at each `yield`, so that the caller's is not touched.
    """
    scheduler = components.scheduler()
    scheduler.set_timesteps(num_inference_steps, device=components.device)
    unet = components.unet
    chunk_tokens = chunk_tokens or CHUNK_TOKENS
    with torch.inference_mode():
        passes = [encode_context(unet, rows) for rows in conditioning.split(cfg_passes)]
    for timestep in scheduler.timesteps:
        with torch.inference_mode():
            prediction = torch.cat([predict(unet, latents, timestep, rows, chunk_tokens) for rows in passes])
            if len(prediction) == 2:
                unconditional, conditional = prediction.chunk(2)
                prediction = unconditional + guidance_scale * (conditional - unconditional)
            result = scheduler.step(prediction, timestep, latents)
            latents = result.prev_sample
        yield Step(latents, result.pred_original_sample)
