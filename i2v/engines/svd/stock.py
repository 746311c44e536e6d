"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `StableVideoDiffusionPipeline`, loaded by its own loader. Nothing of our engine is used
here but its options.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from PIL import Image
from transformers.utils import logging as transformers_logging

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.svd.options import options_of

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class StockEngine:
    """Stock behind the contract of engines (see `i2v.engines.base.Engine`), so that both run the same way.

    It says nothing before the clip is done. Of the plan it takes device, dtype, the offloading of the whole
    model and the chunk of frames; all else is diffusers' default.
    """

    def __init__(self, spec: EngineSpec, pipeline: StableVideoDiffusionPipeline, plan: MemoryPlan) -> None:
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
        yield Decoded(run_stock(self._pipeline, generation, inputs.image, self.plan.decode_chunk)[1])


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> StableVideoDiffusionPipeline:
    """Load `folder` through diffusers' own loader."""
    for logging in (diffusers_logging, transformers_logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    halves = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    variant = "fp16" if halves.is_file() else None
    pipeline = StableVideoDiffusionPipeline.from_pretrained(
        folder, variant=variant, dtype=dtype, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def run_stock(
    pipeline: StableVideoDiffusionPipeline,
    generation: Generation,
    image: Image.Image,
    decode_chunk_size: int = 0,
) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    """Return ((1, F, C, h, w) latents, (F, H, W, 3) uint8 frames) of one run.

    The pipeline's own last step (`decode_latents`, `postprocess_video`) is called from here, which makes the
    latents visible and costs nothing. A `decode_chunk_size` of 0 is the pipeline's default, all frames.
    """
    options = options_of(generation)
    latents = pipeline(
        image=image,
        height=generation.generated_height,
        width=generation.generated_width,
        num_frames=generation.num_frames,
        num_inference_steps=generation.num_inference_steps,
        min_guidance_scale=options.min_guidance_scale,
        max_guidance_scale=options.max_guidance_scale,
        fps=generation.target_fps,
        motion_bucket_id=options.motion_bucket_id,
        noise_aug_strength=options.noise_aug_strength,
        generator=torch.Generator("cpu").manual_seed(generation.seed),
        output_type="latent",
        return_dict=False,
    )
    video = pipeline.decode_latents(
        latents, generation.num_frames, decode_chunk_size or generation.num_frames
    )
    frames = pipeline.video_processor.postprocess_video(video, output_type="np")[0]
    return latents, (frames * 255).round().astype(np.uint8)  # as `numpy_to_pil` rounds
