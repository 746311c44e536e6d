"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `I2VGenXLPipeline`, loaded by its own loader, plus one line for transformers 5. Nothing of
our engine is used here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import I2VGenXLPipeline
from numpy.typing import NDArray
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.base import Inputs
from i2v.engines.diffusion.stock import Stock, quiet_loaders, to_uint8


class StockEngine(Stock[I2VGenXLPipeline]):
    """I2VGen-XL. Its pipeline has no callback."""

    @staticmethod
    def load_pipeline(spec: EngineSpec, folder: Path, dtype: torch.dtype) -> I2VGenXLPipeline:
        return load_stock(folder, dtype)

    def frames(self, generation: Generation, inputs: Inputs) -> NDArray[np.uint8]:
        with torch.inference_mode():
            video = self.pipeline(
                **_arguments(generation, inputs.image), output_type="np", return_dict=False
            )[0]
        return to_uint8(video[0])


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> I2VGenXLPipeline:
    """Load `folder` through diffusers' own loader."""
    quiet_loaders()
    halves = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    variant = "fp16" if halves.is_file() else None
    pipeline = I2VGenXLPipeline.from_pretrained(folder, variant=variant, dtype=dtype, local_files_only=True)
    # transformers 5 has no `CLIPTextModel.text_model`, which clip_skip=1 reads
    object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def run_stock(
    pipeline: I2VGenXLPipeline, generation: Generation, image: Image.Image, decode_chunk_size: int = 4
) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    """Return ((1, C, F, h, w) latents, (F, H, W, 3) uint8 frames) of one run.

    The pipeline's own last step (`decode_latents`, `postprocess_video`) is called from here, which makes the
    latents visible and costs nothing.
    """
    latents = pipeline(**_arguments(generation, image), output_type="latent", return_dict=False)[0]
    video = pipeline.decode_latents(latents, decode_chunk_size)
    return latents, to_uint8(pipeline.video_processor.postprocess_video(video, output_type="np")[0])


def _arguments(generation: Generation, image: Image.Image) -> dict[str, object]:
    """Return what a person gives the pipeline. Noise is drawn on the CPU, as diffusers advises."""
    return {
        "prompt": generation.prompt,
        "image": image,
        "height": generation.generated_height,
        "width": generation.generated_width,
        "target_fps": generation.target_fps,
        "num_frames": generation.num_frames,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "negative_prompt": generation.negative_prompt,
        "generator": torch.Generator("cpu").manual_seed(generation.seed),
    }
