"""A folder of three repositories' files -> the parts of the model, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    SparseControlNetModel,
    UNet2DConditionModel,
    UNetMotionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.facts import facts_of
from i2v.engines.animatediff.ip_adapter import StyleModel
from i2v.engines.animatediff.weights import build_adapter, fill_base, fill_motion, motion_file
from i2v.engines.diffusion.feed_forward import use_chunked_feed_forward
from i2v.engines.diffusion.folder import Folder
from i2v.engines.diffusion.loras import AppliedLoras
from i2v.engines.diffusion.placement import DTYPES, PlacedParts, homes
from i2v.engines.diffusion.text import load_tokenizer

# What decides over the noise, and what the sampler has code for (`diffusion.solvers`). The schedule of the
# noise is the motion adapter's, not the base's.
_SCHEDULE = ("beta_start", "beta_end", "num_train_timesteps")
_SAMPLED = {
    "prediction_type": ("epsilon", "v_prediction"),
    "timestep_spacing": ("leading",),
    "clip_sample": (False,),
    "thresholding": (False,),
}


@dataclass
class Components(PlacedParts):
    """The loaded model, in `dtype`."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    vae: AutoencoderKL
    unet: UNetMotionModel
    controlnet: SparseControlNetModel
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
    source: Folder
    filled: dict[str, object]  # with what (`weights.prepare`); empty where that is not certain
    loras: AppliedLoras = field(default_factory=AppliedLoras)
    style: StyleModel | None = None  # of the last clip, if that has a style picture
    is_settled: bool = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.text_encoder, *(self.style.encoders if self.style is not None else ()))

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        return (self.unet, self.controlnet)

    def scheduler(self) -> DDIMScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return DDIMScheduler.from_config(self.scheduler_config)


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = Folder(spec, folder)
    source.check_class("StableDiffusionPipeline")
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    facts = facts_of(spec)
    still = source.build("unet", UNet2DConditionModel.from_config)
    adapter, motion = build_adapter(source, facts), motion_file(facts)
    described = "unet" if facts.motion_files else "motion_adapter"
    unet = source.build(described, lambda _: UNetMotionModel.from_unet2d(still, adapter, False))
    controlnet = source.build("controlnet", SparseControlNetModel.from_config)
    if not controlnet.use_simplified_condition_embedding:
        raise source.unreadable(folder / "controlnet/config.json", "it is not SparseCtrl's for RGB pictures")
    text_encoder = source.build("text_encoder", lambda config: CLIPTextModel(CLIPTextConfig(**config)))
    vae = source.build("vae", AutoencoderKL.from_config)
    fill_base(source, unet, home, dtype)
    fill_motion(source, unet, motion, home, dtype)
    unet.eval().requires_grad_(False)
    controlnet = source.filled("controlnet", controlnet, home, dtype)
    text_encoder = source.filled("text_encoder", text_encoder, encoders_home, dtype)
    vae = source.filled("vae", vae, home, dtype)
    for part in (unet, controlnet):
        use_chunked_feed_forward(part)
    noise = {"beta_schedule": facts.beta_schedule}
    return Components(
        tokenizer=load_tokenizer(source),
        text_encoder=text_encoder,
        vae=vae,
        unet=unet,
        controlnet=controlnet,
        scheduler_config={**source.scheduler(DDIMScheduler, _SCHEDULE, _SAMPLED), **noise},
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
        source=source,
        filled={"checkpoint": None, "motion": motion},
    )
