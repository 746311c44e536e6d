"""A folder in the Hugging Face layout -> the parts of the model, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from i2v.core.schema import MemoryPlan, Offload
from i2v.engines.diffusion.folder import Folder, Model, PictureInput, assign
from i2v.engines.svd.transformer import use_lean_transformers

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# What decides over the noise, and what the sampler has code for (`sampling`).
_SCHEDULE = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
_SAMPLED = {"prediction_type": ("v_prediction",), "final_sigmas_type": ("zero",)}


@dataclass
class Components:
    """The loaded model, in `dtype`.

    Tensors are made on `device`, where the parts compute. When they do not, the image encoder's weights are
    at `encoders_home`, the others' at `home`: `device` too, unless the plan offloads.
    """

    picture_input: PictureInput
    image_encoder: CLIPVisionModelWithProjection
    vae: AutoencoderKLTemporalDecoder
    unet: UNetSpatioTemporalConditionModel
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
    is_settled: bool = True  # all parts are at home, or where they compute

    @contextmanager
    def on_device(self, *parts: nn.Module) -> Iterator[None]:
        """Have `parts` on `device` inside, and back at home after, whatever ends it.

        Nothing moves where the two are the same. Where they are not, `Components` serves one clip at a time.
        This has never run on CUDA: what is tested is a second device that the tests emulate.
        """
        try:
            for part in parts:
                part.to(self.device)
            yield
        finally:
            for part in parts:
                part.to(self.encoders_home if part is self.image_encoder else self.home)

    def settle(self, offload: Offload) -> None:
        """Have the parts at home where `offload` wants them, from now on."""
        wanted = homes(self.device, offload)
        if self.is_settled and wanted == (self.home, self.encoders_home):
            return
        self.is_settled = False  # until all have moved: memory may run out on the way
        self.home, self.encoders_home = wanted
        for part in (self.unet, self.vae):
            part.to(self.home)
        self.image_encoder.to(self.encoders_home)
        self.is_settled = True

    def wait(self) -> None:
        """Return when the device has done all that it was asked: where a stage ends, so must its time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a latent, in each direction."""
        factor: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return factor

    def scheduler(self) -> EulerDiscreteScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return EulerDiscreteScheduler.from_config(self.scheduler_config)


def homes(device: torch.device, offload: Offload) -> tuple[torch.device, torch.device]:
    """Return where UNet and VAE wait for their phase, and where the image encoder does."""
    cpu = torch.device("cpu")
    return cpu if offload == "model" else device, device if offload == "none" else cpu


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = Folder(spec, folder)
    source.check_class("StableVideoDiffusionPipeline")
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    def ready(part: str, stem: str, model: Model, home: torch.device = home) -> Model:
        path, tensors = source.tensors(part, stem)
        assign(model, path, tensors, home, dtype)
        return model.eval().requires_grad_(False)

    image_encoder = source.build(
        "image_encoder", lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    )
    vae = source.build("vae", AutoencoderKLTemporalDecoder.from_config)
    unet = source.build("unet", UNetSpatioTemporalConditionModel.from_config)
    # The largest first: while a file is read, its tensors may be there twice (as stored, and in `dtype`).
    unet = ready("unet", "diffusion_pytorch_model", unet)
    image_encoder = ready("image_encoder", "model", image_encoder, encoders_home)
    vae = ready("vae", "diffusion_pytorch_model", vae)
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
