"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `WanImageToVideoPipeline`, loaded by its own loaders, with the VAE in float32 as its
documentation says. Nothing of our engine is used here but its options.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.wan.options import options_of

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class StockEngine:
    """Stock behind the contract of engines (see `i2v.engines.base.Engine`), so that both run the same way.

    It says nothing before the clip is done. Of the plan it takes device, dtype and the offloading of the
    whole model; all else is diffusers' default.
    """

    def __init__(self, spec: EngineSpec, pipeline: WanImageToVideoPipeline, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan
        self._pipeline = pipeline

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Self:
        if plan.threads:
            torch.set_num_threads(plan.threads)
        pipeline = load_stock(folder, _DTYPES[plan.dtype])
        if plan.device == "cuda" and plan.offload == "model":
            pipeline.enable_model_cpu_offload()
        else:
            pipeline.to(plan.device)
        return cls(spec, pipeline, plan)

    def adopt(self, plan: MemoryPlan) -> None:
        """Stock has one plan only."""

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the whole clip in one `Decoded`. `ladder` is not asked: stock ends where memory does."""
        yield Decoded(run_stock(self._pipeline, self.spec, generation, inputs)[1])


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> WanImageToVideoPipeline:
    """Load `folder` through diffusers' own loaders."""
    for logging in (diffusers_logging, transformers_logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()
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
    return latents, (frames * 255).round().astype(np.uint8)  # as `numpy_to_pil` rounds
