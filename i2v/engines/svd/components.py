"""A folder in the Hugging Face layout -> the parts of the model, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.folder import Folder, PictureInput
from i2v.engines.diffusion.placement import DTYPES, PlacedParts, homes
from i2v.engines.svd.transformer import use_lean_transformers

# What decides over the noise, and what the sampler has code for (`sampling`).
_SCHEDULE = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
_SAMPLED = {"prediction_type": ("v_prediction",), "final_sigmas_type": ("zero",)}


@dataclass
class Components(PlacedParts):
    """The loaded model, in `dtype`."""

    picture_input: PictureInput
    image_encoder: CLIPVisionModelWithProjection
    vae: AutoencoderKLTemporalDecoder
    unet: UNetSpatioTemporalConditionModel
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
    is_settled: bool = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.image_encoder,)

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        return (self.unet,)

    def scheduler(self) -> EulerDiscreteScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return EulerDiscreteScheduler.from_config(self.scheduler_config)


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = Folder(spec, folder)
    source.check_class("StableVideoDiffusionPipeline")
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    image_encoder = source.build(
        "image_encoder", lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    )
    vae = source.build("vae", AutoencoderKLTemporalDecoder.from_config)
    unet = source.build("unet", UNetSpatioTemporalConditionModel.from_config)
    unet = source.filled("unet", unet, home, dtype)
    image_encoder = source.filled("image_encoder", image_encoder, encoders_home, dtype)
    vae = source.filled("vae", vae, home, dtype)
    use_lean_transformers(unet)
    return Components(
        picture_input=source.picture_input(),
        image_encoder=image_encoder,
        vae=vae,
        unet=unet,
        scheduler_config=source.scheduler(EulerDiscreteScheduler, _SCHEDULE, _SAMPLED),
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
    )
