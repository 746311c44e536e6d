"""The same model as diffusers runs it by itself: what `i2v bench`, benchmarks and tests hold ours to.

Stock is diffusers' `AnimateDiffSparseControlNetPipeline`, loaded by its own loaders. Of our engine nothing is
used here but its options and which picture is of which frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AnimateDiffSparseControlNetPipeline,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    MotionAdapter,
    SparseControlNetModel,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from safetensors.torch import load_file

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.animatediff.conditioning import pictures_by_frame
from i2v.engines.animatediff.facts import AS_STOCK, Facts, facts_of
from i2v.engines.animatediff.options import options_of
from i2v.engines.animatediff.weights import motion_file
from i2v.engines.base import Inputs
from i2v.engines.diffusion.stock import Stock, quiet_loaders, to_uint8

# diffusers' scheduler of each way, and what the cards of the weights set besides the noise.
_SCHEDULERS: dict[str, tuple[Any, dict[str, str]]] = {
    "ddim": (DDIMScheduler, {}),
    "trailing": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "consistency": (LCMScheduler, {}),
}


class StockEngine(Stock[AnimateDiffSparseControlNetPipeline]):
    """AnimateDiff, driven by pictures."""

    @staticmethod
    def load_pipeline(
        spec: EngineSpec, folder: Path, dtype: torch.dtype
    ) -> AnimateDiffSparseControlNetPipeline:
        return load_stock(folder, dtype, facts_of(spec))

    def frames(self, generation: Generation, inputs: Inputs) -> NDArray[np.uint8]:
        use_stock_style(self.pipeline, inputs.style_model)
        return run_stock(self.pipeline, generation, inputs)[1]


def load_stock(
    folder: Path, dtype: torch.dtype = torch.float32, facts: Facts = AS_STOCK, num_inference_steps: int = 0
) -> AnimateDiffSparseControlNetPipeline:
    """Load `folder` through diffusers' own loaders, as the cards of the weights do it.

    num_inference_steps: which of the motion modules, where there is one a number of steps.
    """
    quiet_loaders()

    def variant(part: str) -> str | None:
        return "fp16" if (folder / part / "diffusion_pytorch_model.fp16.safetensors").is_file() else None

    if facts.motion_files:
        adapter = _adapter_of_file(folder, motion_file(facts, num_inference_steps)).to(dtype=dtype)
    else:
        adapter = MotionAdapter.from_pretrained(
            folder / "motion_adapter", variant=variant("motion_adapter"), dtype=dtype
        )
    controlnet = SparseControlNetModel.from_pretrained(
        folder / "controlnet", variant=variant("controlnet"), dtype=dtype
    )
    pipeline = AnimateDiffSparseControlNetPipeline.from_pretrained(
        folder,
        motion_adapter=adapter,
        controlnet=controlnet,
        variant=variant("unet"),
        dtype=dtype,
        local_files_only=True,
    )
    kind, more = _SCHEDULERS[facts.sampler]
    pipeline.scheduler = kind.from_config(
        pipeline.scheduler.config, beta_schedule=facts.beta_schedule, **more
    )
    for name, strength in facts.own_loras:
        path = folder / name
        pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=path.stem)
        pipeline.set_adapters([path.stem], [strength])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _adapter_of_file(folder: Path, stem: str) -> MotionAdapter:
    config = UNet2DConditionModel.load_config(folder / "unet")
    adapter = MotionAdapter(
        block_out_channels=config["block_out_channels"],
        motion_layers_per_block=config["layers_per_block"],
        motion_num_attention_heads=config["attention_head_dim"],
        motion_norm_num_groups=config["norm_num_groups"],
    )
    adapter.load_state_dict(load_file(folder / "motion_adapter" / f"{stem}.safetensors"))
    return adapter


def use_stock_style(pipeline: AnimateDiffSparseControlNetPipeline, folder: Path | None) -> None:
    """Have IP-Adapter loaded from `folder`, or none, by diffusers' own loader."""
    if pipeline.image_encoder is not None:
        pipeline.unload_ip_adapter()
    if folder is not None:
        pipeline.load_ip_adapter(
            folder, subfolder="models", weight_name="ip-adapter_sd15.safetensors", local_files_only=True
        )


@torch.inference_mode()
def run_stock(
    pipeline: AnimateDiffSparseControlNetPipeline, generation: Generation, inputs: Inputs
) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    """Return ((1, C, F, h, w) latents, (F, H, W, 3) uint8 frames) of one run.

    The pipeline's own last step (`decode_latents`, `postprocess_video`) is called from here, which makes the
    latents visible and costs nothing.
    """
    pictures = pictures_by_frame(inputs, generation.num_frames)
    options = options_of(generation)
    if inputs.style_image is not None:
        pipeline.set_ip_adapter_scale(options.ip_adapter_scale)
    latents = pipeline(
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        height=generation.generated_height,
        width=generation.generated_width,
        num_frames=generation.num_frames,
        num_inference_steps=generation.num_inference_steps,
        guidance_scale=generation.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(generation.seed),
        conditioning_frames=list(pictures.values()),
        controlnet_frame_indices=list(pictures),
        controlnet_conditioning_scale=float(options.controlnet_conditioning_scale),
        ip_adapter_image=inputs.style_image,
        output_type="latent",
        return_dict=False,
    )[0]
    video = pipeline.decode_latents(latents)
    frames = pipeline.video_processor.postprocess_video(video, output_type="np")[0]
    return latents, to_uint8(frames)
