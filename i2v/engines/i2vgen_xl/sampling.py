"""The denoising loop: noise to latents, one yielded step at a time.

DDIM (Song et al. 2021) with classifier-free guidance (Ho and Salimans 2022), step for step as diffusers'
`I2VGenXLPipeline` runs it. The loop knows neither prompts nor pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import I2VGenXLUNet

from i2v.engines.i2vgen_xl.components import Components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.schema import Generation


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
) -> Iterator[Step]:
    """Yield one `Step` for each of the scheduler's timesteps; stop iterating to stop.

    With `cfg_passes` 2 the UNet gets the two rows of a guided step one after the other: half the activations.
    Grad mode is entered within each step and left at each `yield`, so that the caller's is not touched.
    """
    scheduler = components.scheduler()
    scheduler.set_timesteps(num_inference_steps, device=components.device)
    passes = conditioning.split(cfg_passes)
    for timestep in scheduler.timesteps:
        with torch.inference_mode():
            prediction = torch.cat([_predict(components.unet, rows, latents, timestep) for rows in passes])
            if len(prediction) == 2:
                unconditional, conditional = prediction.chunk(2)
                prediction = unconditional + guidance_scale * (conditional - unconditional)
            result = scheduler.step(prediction, timestep, latents)
            latents = result.prev_sample
        yield Step(latents, result.pred_original_sample)


def _predict(
    unet: I2VGenXLUNet, rows: Conditioning, latents: torch.Tensor, timestep: torch.Tensor
) -> torch.Tensor:
    """Return the (B, C, F, h, w) prediction for the same `latents` under each of the B rows."""
    prediction: torch.Tensor = unet(
        latents.expand(len(rows.fps), *latents.shape[1:]),
        timestep,
        fps=rows.fps,
        image_latents=rows.image_latents,
        image_embeddings=rows.image_embeddings,
        encoder_hidden_states=rows.prompt_embeds,
        return_dict=False,
    )[0]
    return prediction
