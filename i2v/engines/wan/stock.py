"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `WanImageToVideoPipeline`, loaded by its own loaders, with the VAE in float32 as its
documentation says. Nothing of our engine is used here but its options.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline
from numpy.typing import NDArray

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.base import Inputs
from i2v.engines.diffusion.stock import Stock, quiet_loaders, to_uint8
from i2v.engines.wan.options import options_of


class StockEngine(Stock[WanImageToVideoPipeline]):
    """Both models of Wan 2.2."""

    @staticmethod
    def load_pipeline(spec: EngineSpec, folder: Path, dtype: torch.dtype) -> WanImageToVideoPipeline:
        return load_stock(folder, dtype)

    def frames(self, generation: Generation, inputs: Inputs) -> NDArray[np.uint8]:
        return run_stock(self.pipeline, self.spec, generation, inputs)[1]


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> WanImageToVideoPipeline:
    """Load `folder` through diffusers' own loaders."""
    quiet_loaders()
    vae = AutoencoderKLWan.from_pretrained(folder / "vae", dtype=torch.float32)
    pipeline = WanImageToVideoPipeline.from_pretrained(folder, vae=vae, dtype=dtype, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def run_stock(
    pipeline: WanImageToVideoPipeline, spec: EngineSpec, generation: Generation, inputs: Inputs
) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    """Return ((1, C, f, h, w) latents, (F, H, W, 3) uint8 frames) of one run.

    The pipeline's own last step is done here, which makes the latents visible and costs nothing.
    """
    options = options_of(spec, generation)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(
        pipeline.scheduler.config, flow_shift=options.flow_shift
    )
    _, *scale_2 = options.scales(generation.guidance_scale)
    if scale_2:
        pipeline.register_to_config(boundary_ratio=options.boundary)
    latents = pipeline(
        image=inputs.image,
        last_image=inputs.last_image,
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        height=generation.generated_height,
        width=generation.generated_width,
        num_frames=generation.num_frames,
        num_inference_steps=generation.num_inference_steps,
        guidance_scale=generation.guidance_scale,
        guidance_scale_2=scale_2[0] if scale_2 else None,
        generator=torch.Generator("cpu").manual_seed(generation.seed),
        output_type="latent",
        return_dict=False,
    )[0]
    vae = pipeline.vae
    mean, deviation = (
        torch.tensor(numbers).view(1, -1, 1, 1, 1).to(latents.device, vae.dtype)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    video = vae.decode(latents.to(vae.dtype) / (1 / deviation) + mean, return_dict=False)[0]
    frames = pipeline.video_processor.postprocess_video(video, output_type="np")[0]
    return latents, to_uint8(frames)
