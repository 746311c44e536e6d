"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `StableVideoDiffusionPipeline`, loaded by its own loader. Nothing of our engine is used
here but its options.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.base import Inputs
from i2v.engines.diffusion.stock import Stock, quiet_loaders, to_uint8
from i2v.engines.svd.options import options_of


class StockEngine(Stock[StableVideoDiffusionPipeline]):
    """Stable Video Diffusion; of the plan it takes the chunk of frames too."""

    @staticmethod
    def load_pipeline(spec: EngineSpec, folder: Path, dtype: torch.dtype) -> StableVideoDiffusionPipeline:
        return load_stock(folder, dtype)

    def frames(self, generation: Generation, inputs: Inputs) -> NDArray[np.uint8]:
        return run_stock(self.pipeline, generation, inputs.image, self.plan.decode_chunk)[1]


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> StableVideoDiffusionPipeline:
    """Load `folder` through diffusers' own loader."""
    quiet_loaders()
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
    return latents, to_uint8(frames)
