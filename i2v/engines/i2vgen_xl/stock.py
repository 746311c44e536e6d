"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `I2VGenXLPipeline`, loaded by its own loader, plus one line for transformers 5. Nothing of
our engine is used here.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import I2VGenXLPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from PIL import Image
from transformers.utils import logging as transformers_logging

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class StockEngine:
    """Stock behind the contract of engines (see `i2v.engines.base.Engine`), so that both run the same way.

    It says nothing before the clip is done: its pipeline has no callback. Of the plan it takes device, dtype
    and the offloading of the whole model; all else is diffusers' default.
    """

    kernels = "torch"

    def __init__(self, spec: EngineSpec, pipeline: I2VGenXLPipeline, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan
        self._pipeline = pipeline

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Self:
        for logging in (diffusers_logging, transformers_logging):
            logging.disable_progress_bar()
            logging.set_verbosity_error()
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
        with torch.inference_mode():
            video = self._pipeline(
                **_arguments(generation, inputs.image), output_type="np", return_dict=False
            )[0]
        yield Decoded(_to_uint8(video[0]))


def load_stock(folder: Path, dtype: torch.dtype = torch.float32) -> I2VGenXLPipeline:
    """Load `folder` through diffusers' own loader."""
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
    return latents, _to_uint8(pipeline.video_processor.postprocess_video(video, output_type="np")[0])


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


def _to_uint8(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (frames * 255).round().astype(np.uint8)  # as `numpy_to_pil` rounds
