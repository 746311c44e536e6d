"""A folder in the Hugging Face layout -> the six components of I2VGen-XL, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.folder import Folder, PictureInput
from i2v.engines.diffusion.placement import DTYPES, PlacedParts, homes
from i2v.engines.diffusion.text import load_tokenizer
from i2v.engines.i2vgen_xl.facts import facts_of
from i2v.engines.i2vgen_xl.layouts import use_channels_last_weights
from i2v.engines.i2vgen_xl.unet import UNet
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions

# What decides over the noise, and what the sampler has code for (`solvers`, `schedules`).
_SCHEDULE = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
_SAMPLED = {
    "prediction_type": ("v_prediction", "epsilon", "sample"),
    "timestep_spacing": ("leading",),
    "clip_sample": (False,),
    "thresholding": (False,),
}


@dataclass
class Components(PlacedParts):
    """The loaded model, in `dtype`."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    picture_input: PictureInput
    image_encoder: CLIPVisionModelWithProjection
    vae: AutoencoderKL
    unet: UNet
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
    is_settled: bool = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.image_encoder, self.text_encoder)

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        return (self.unet,)

    def scheduler(self) -> DDIMScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return DDIMScheduler.from_config(self.scheduler_config)


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = Folder(spec, folder)
    source.check_class("I2VGenXLPipeline")
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    text_encoder = source.build("text_encoder", lambda config: CLIPTextModel(CLIPTextConfig(**config)))
    image_encoder = source.build(
        "image_encoder", lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    )
    vae = source.build("vae", AutoencoderKL.from_config)
    unet = source.build("unet", UNet.from_config)
    unet = source.filled("unet", unet, home, dtype)
    image_encoder = source.filled("image_encoder", image_encoder, encoders_home, dtype)
    text_encoder = source.filled("text_encoder", text_encoder, encoders_home, dtype)
    vae = source.filled("vae", vae, home, dtype)
    _apply_image_gain(unet, facts_of(spec).image_gain)
    unet.lay_out(joint_projections=device.type == "cuda")
    use_phase_convolutions(vae)
    if device.type == "cuda":
        use_channels_last_weights(vae)
    return Components(
        tokenizer=load_tokenizer(source),
        text_encoder=text_encoder,
        picture_input=source.picture_input(),
        image_encoder=image_encoder,
        vae=vae,
        unet=unet,
        scheduler_config=source.scheduler(DDIMScheduler, _SCHEDULE, _SAMPLED),
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
    )


def _apply_image_gain(unet: UNet, gain: float) -> None:
    """Fold `Facts.image_gain` into `conv_in`.

    The second half of its inputs is the first frame's features.
    """
    if gain != 1.0:
        unet.conv_in.weight[:, unet.config.in_channels :] *= gain
