"""IP-Adapter (Ye et al. 2023, arXiv 2308.06721): the clip takes on the look of a style picture.

CLIP's embedding of the picture becomes a few more tokens, which the UNet's attention to the prompt looks at
beside the text, with keys and values of its own; what it finds is added. Value for value as diffusers 0.42.1
does it (`IPAdapterMixin.load_ip_adapter`, `IPAdapterAttnProcessor2_0`), whose attention this is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from diffusers import UNetMotionModel
from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0
from PIL import Image
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from i2v.core.model_spec import ModelSpec
from i2v.engines.diffusion.folder import Folder, assign

if TYPE_CHECKING:
    from i2v.engines.animatediff.components import Components

NUM_TOKENS = 4  # of a picture, beside the prompt's
_ADAPTER, _STEM, _ENCODER = "models", "ip-adapter_sd15", "models/image_encoder"

# What CLIP was trained on (transformers' `OPENAI_CLIP_MEAN` and `OPENAI_CLIP_STD`): the repository has no
# configuration of a processor, so that diffusers takes transformers' as it is.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class Adapter(nn.Module):
    """The tensors of the published file, under its names.

    `image_proj` makes tokens of an embedding; `ip_adapter` has keys and values of each attention to the
    prompt, by odd numbers in diffusers' order of attentions.
    """

    def __init__(self, unet: UNetMotionModel, embedding: int) -> None:
        super().__init__()
        width = unet.config.cross_attention_dim
        self.image_proj = nn.ModuleDict(
            {"proj": nn.Linear(embedding, NUM_TOKENS * width), "norm": nn.LayerNorm(width)}
        )
        self.ip_adapter = nn.ModuleDict(
            {
                str(2 * number + 1): nn.ModuleDict(
                    {
                        name: nn.Linear(width, unet.get_submodule(owner).inner_dim, bias=False)
                        for name in ("to_k_ip", "to_v_ip")
                    }
                )
                for number, owner in enumerate(attentions_to_prompt(unet))
            }
        )

    @property
    def attentions(self) -> list[nn.ModuleDict]:
        """The layers of each attention, in order."""
        return [cast("nn.ModuleDict", layers) for layers in self.ip_adapter.values()]

    def tokens(self, embedding: torch.Tensor) -> torch.Tensor:
        """(B, D) embeddings of pictures -> (B, 4, W) as wide as the prompt's tokens."""
        projected = self.image_proj["proj"](embedding).unflatten(1, (NUM_TOKENS, -1))
        normed: torch.Tensor = self.image_proj["norm"](projected)
        return normed


def attentions_to_prompt(unet: UNetMotionModel) -> list[str]:
    """Return the names of the attentions to the prompt, in diffusers' order."""
    names = (name.removesuffix(".processor") for name in unet.attn_processors)
    return [name for name in names if name.endswith("attn2") and "motion_modules" not in name]


@dataclass
class StyleModel:
    """What reads a style picture, loaded from `folder`, and the UNet that looks at what it read."""

    folder: Path
    image_encoder: CLIPVisionModelWithProjection
    adapter: Adapter
    unet: UNetMotionModel

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.image_encoder, self.adapter.image_proj)

    def tokens(self, picture: Image.Image, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """Return (2, 4, W): the tokens of no picture, and those of `picture`."""
        pixels = clip_pixels(picture, self.image_encoder.config.image_size).to(device, dtype)
        embedding = self.image_encoder(pixels).image_embeds
        return self.adapter.tokens(torch.cat([torch.zeros_like(embedding), embedding]))

    def attach(self, scale: float) -> None:
        """Have the UNet's attention to the prompt look at a picture's tokens too, and add `scale` of that."""
        processors = dict(self.unet.attn_processors)
        names = attentions_to_prompt(self.unet)
        for name, layers in zip(names, self.adapter.attentions, strict=True):
            with torch.device("meta"):  # its own layers are not used
                processor = IPAdapterAttnProcessor2_0(1, 1, (NUM_TOKENS,), scale)
            processor.to_k_ip = nn.ModuleList([layers["to_k_ip"]])
            processor.to_v_ip = nn.ModuleList([layers["to_v_ip"]])
            processors[f"{name}.processor"] = processor
        self.unet.set_attn_processor(processors)

    def detach(self) -> None:
        """Have the UNet look at the prompt alone, as it was built."""
        self.unet.set_attn_processor(AttnProcessor2_0())


def clip_pixels(picture: Image.Image, size: int) -> torch.Tensor:
    """Return (1, 3, `size`, `size`): the picture's centre square as CLIP sees it.

    As transformers' `CLIPImageProcessor` does: bicubic to `size` at the shorter side, then cut.
    """
    other = int(size * max(picture.size) / min(picture.size))
    width, height = (size, other) if picture.width <= picture.height else (other, size)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    square = resized.crop((left, top, left + size, top + size))
    pixels = torch.from_numpy(np.asarray(square, dtype=np.float32) / 255.0)
    return ((pixels - torch.tensor(_MEAN)) / torch.tensor(_STD)).permute(2, 0, 1)[None]


def use_style(components: Components, spec: ModelSpec, folder: Path | None, scale: float) -> None:
    """Have the style model of `folder` loaded and attached, or none; raises `ModelUnavailable`."""
    style = components.style
    if style is not None and style.folder != folder:
        style.detach()
        style = components.style = None
    if folder is not None:
        components.style = style or _load(components, spec, folder)
        components.style.attach(scale)


def _load(components: Components, spec: ModelSpec, folder: Path) -> StyleModel:
    source, dtype = Folder(spec, folder), components.dtype
    encoder = source.build(_ENCODER, lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)))
    with torch.device("meta"):
        adapter = Adapter(components.unet, encoder.config.projection_dim)
    encoder = source.filled(_ENCODER, encoder, components.encoders_home, dtype)
    assign(adapter, *source.tensors(_ADAPTER, _STEM), components.home, dtype)
    adapter.eval().requires_grad_(False)
    adapter.image_proj.to(components.encoders_home)
    return StyleModel(folder, encoder, adapter, components.unet)
