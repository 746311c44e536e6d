"""What each stage of a clip takes, counted by running the engine's own code on fake tensors.

`FakeTensorMode` runs every operation for its shapes alone. What tensors are alive at once is counted
(`tests.peak_memory`), and the operations of convolutions, matrices and attention (`FlopCounterMode`). What a
kernel takes for itself and an allocator wastes is not seen.

Figures are numbers, not bytes: they are nearly the same in any type, and each model is run in its usual one.
How they become a table is `make`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, I2VGenXLUNet
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from i2v.engines.diffusion.decode import _decode, _decode_in_tiles
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.sampling import CHUNK_TOKENS
from i2v.engines.i2vgen_xl.unet import UNet
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions
from scripts.full_size.layout import CONFIGS
from tests.peak_memory import PeakMemory

EMBEDDED = Path(__file__).parents[2] / "i2v" / "embedded"
PROMPT_TOKENS = 77


@dataclass(frozen=True)
class Cost:
    """`elements`: numbers that are alive at once, apart from weights; `flops`: of one run."""

    elements: int
    flops: int


@dataclass(frozen=True)
class Model:
    """The four parts without values."""

    unet: UNet | I2VGenXLUNet
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    image_encoder: CLIPVisionModelWithProjection

    @property
    def scale(self) -> int:
        """Pixels a latent, in each direction."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def weights(self) -> dict[str, int]:
        """Return how many numbers each part holds."""
        parts = cast("dict[str, nn.Module]", vars(self))
        return {
            name: sum(tensor.numel() for tensor in part.state_dict().values()) for name, part in parts.items()
        }

    def step(self, height: int, width: int, num_frames: int, rows: int, passes: int, chunk: int = 0) -> Cost:
        """Run one denoising step at `height` x `width` latents, what no step changes included."""
        latents = torch.empty(1, self.unet.config.in_channels, num_frames, height, width)
        given = self.conditioning(rows, *latents.shape[1:])
        with counting() as counted:
            clips = [self.unet.encode_context(part) for part in given.split(passes)]
            time = torch.tensor(981)
            prediction = torch.cat([self.unet(latents, time, clip, chunk or CHUNK_TOKENS) for clip in clips])
            del prediction
        return counted[0]

    def conditioning(self, rows: int, *shape: int) -> Conditioning:
        width = self.unet.config.cross_attention_dim
        return Conditioning(
            prompt_embeds=torch.empty(rows, PROMPT_TOKENS, width),
            image_embeddings=torch.empty(rows, 1, width),
            image_latents=torch.empty(rows, *shape),
            fps=torch.empty(rows),
            notices=(),
        )

    def encode(self, height: int, width: int) -> Cost:
        """Encode a picture of `height` x `width` pixels by the VAE; next to it CLIP takes nothing."""
        with counting() as counted:
            self.vae.encode(torch.empty(1, 3, height, width)).latent_dist.mode()
        return counted[0]

    def decode(self, height: int, width: int, num_frames: int, tiling: bool = False) -> Cost:
        """Decode a chunk of frames of `height` x `width` pixels."""
        latents = torch.empty(num_frames, 4, height // self.scale, width // self.scale)
        decode = _decode_in_tiles if tiling else _decode
        with counting() as counted:
            decode(self.vae, latents)
        return counted[0]


@contextmanager
def build(
    configs: dict[str, dict[str, Any]], dtype: torch.dtype = torch.float16, as_the_engine: bool = True
) -> Iterator[Model]:
    """Have a model of these configurations, as the engine runs it; all tensors made inside are fake.

    Args:
        dtype: of all tensors.
        as_the_engine: the UNet is the engine's, and the VAE has what the engine puts into it; without it both
            are diffusers' own.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode(), torch.inference_mode():
            model = Model(
                unet=(UNet if as_the_engine else I2VGenXLUNet).from_config(configs["unet"]).eval(),
                vae=AutoencoderKL.from_config(configs["vae"]).eval(),
                text_encoder=CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
                image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**configs["image_encoder"])),
            )
            if as_the_engine:
                model.unet.lay_out(joint_projections=False)
                use_phase_convolutions(model.vae)
            yield model
    finally:
        torch.set_default_dtype(before)


PARTS = ("unet", "vae", "text_encoder", "image_encoder")


def published() -> dict[str, dict[str, Any]]:
    """Return the configurations of I2VGen-XL as it is published."""
    return {part: CONFIGS[f"{part}/config.json"] for part in PARTS}


def embedded() -> dict[str, dict[str, Any]]:
    """Return those of the embedded model."""
    return {part: json.loads((EMBEDDED / part / "config.json").read_text(encoding="utf-8")) for part in PARTS}


@contextmanager
def counting() -> Iterator[list[Cost]]:
    """Give a list that holds the `Cost` of what was run inside, once that has ended."""
    counted: list[Cost] = []
    cpu_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    flops = FlopCounterMode(
        display=False,
        custom_mapping={
            cpu_attention: lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
        },
    )
    with flops, PeakMemory() as memory:
        yield counted
    counted.append(Cost(memory.most // torch.get_default_dtype().itemsize, flops.get_total_flops()))
