"""What i2v is held to, loaded and run the way its own users would. Tests and benchmarks share this.

Stock is diffusers 0.42.1's `I2VGenXLPipeline` plus one line for transformers 5. Nothing of i2v's engine is
used here, and nothing is timed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import I2VGenXLPipeline
from numpy.typing import NDArray
from PIL import Image

from i2v.schema import Generation


def load_stock(folder: Path) -> I2VGenXLPipeline:
    """Load `folder` through diffusers' own loader, in float32."""
    pipeline = I2VGenXLPipeline.from_pretrained(folder, variant="fp16", dtype=torch.float32)
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
    arguments = {
        "prompt": generation.prompt,
        "image": image,
        "height": generation.generated_height,
        "width": generation.generated_width,
        "target_fps": generation.target_fps,
        "num_frames": generation.num_frames,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "negative_prompt": generation.negative_prompt,
    }
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    latents = pipeline(**arguments, generator=generator, output_type="latent", return_dict=False)[0]
    video = pipeline.decode_latents(latents, decode_chunk_size)
    frames = pipeline.video_processor.postprocess_video(video, output_type="np")[0]
    return latents, (frames * 255).round().astype(np.uint8)  # as `numpy_to_pil` rounds
