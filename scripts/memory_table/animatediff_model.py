"""What each stage of a clip of AnimateDiff takes, counted by running its engine on fake tensors.

As `simulate` does for I2VGen-XL, whose words on what is counted hold here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, SparseControlNetModel, UNetMotionModel
from PIL import Image
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from i2v.engines.animatediff.conditioning import Conditioning
from i2v.engines.animatediff.ip_adapter import NUM_TOKENS, Adapter, StyleModel
from i2v.engines.animatediff.unet import predict
from i2v.engines.diffusion.decode import _decode, _decode_in_tiles
from i2v.engines.diffusion.feed_forward import set_chunk_tokens, use_chunked_feed_forward
from scripts.full_size import animatediff
from scripts.memory_table.simulate import PROMPT_TOKENS, Cost, counting

SCALE = 8  # pixels a latent, in each direction


@dataclass(frozen=True)
class Model:
    """The parts as published, and as they run: `moving` is the base's UNet with the motion adapter.

    `style` reads style pictures, and its numbers are not among the `weights`.
    """

    parts: dict[str, nn.Module]
    moving: UNetMotionModel
    controlnet: SparseControlNetModel
    vae: AutoencoderKL
    style: StyleModel

    def weights(self) -> dict[str, int]:
        """Return how many numbers each part holds."""
        return {
            name: sum(tensor.numel() for tensor in part.state_dict(keep_vars=True).values())
            for name, part in self.parts.items()
        }

    def style_weights(self) -> dict[str, int]:
        """Return how many numbers there are more where there is a style picture."""
        parts = {"image_encoder": self.style.image_encoder, "ip_adapter": self.style.adapter}
        return {name: sum(t.numel() for t in part.state_dict().values()) for name, part in parts.items()}

    def step(
        self,
        height: int,
        width: int,
        num_frames: int,
        rows: int,
        passes: int,
        chunk: int = 0,
        as_stock: bool = False,
        with_style: bool = False,
    ) -> Cost:
        """Run one denoising step at `height` x `width` latents.

        with_style: with the tokens of a style picture, through IP-Adapter's keys and values.
        """
        latents = torch.empty(1, 4, num_frames, height, width)
        given = Conditioning(
            torch.empty(rows, PROMPT_TOKENS, 768),
            torch.empty(1, 4, num_frames, height, width),
            torch.empty(1, 1, num_frames, height, width),
            torch.empty(rows, NUM_TOKENS, 768) if with_style else None,
        )
        if with_style:
            self.style.attach(1.0)
        if not as_stock:
            for part in (self.moving, self.controlnet):
                set_chunk_tokens(part, chunk)
        with counting() as counted:
            time = torch.tensor(981)
            prediction = torch.cat(
                [
                    predict(self.moving, self.controlnet, latents, time, part, 1.0)
                    for part in given.split(passes)
                ]
            )
            del prediction
        if with_style:
            self.style.detach()
        return counted[0]

    def encode_style(self) -> Cost:
        """Read a style picture."""
        with counting() as counted:
            self.style.tokens(Image.new("RGB", (224, 224)), torch.device("cpu"), torch.get_default_dtype())
        return counted[0]

    def encode(self, height: int, width: int) -> Cost:
        """Encode a picture of `height` x `width` pixels by the VAE; next to it CLIP takes nothing."""
        with counting() as counted:
            self.vae.encode(torch.empty(1, 3, height, width)).latent_dist.mode()
        return counted[0]

    def decode(
        self, height: int, width: int, num_frames: int, tiling: bool = False, as_stock: bool = False
    ) -> Cost:
        """Decode `num_frames` frames of `height` x `width` pixels together."""
        latents = torch.empty(num_frames, 4, height // SCALE, width // SCALE)
        with counting() as counted:
            if as_stock:
                self.vae.decode(latents).sample.float()
            else:
                (_decode_in_tiles if tiling else _decode)(self.vae, latents)
        return counted[0]


@contextmanager
def build(
    dtype: torch.dtype = torch.float16, as_the_engine: bool = True, *, distilled: bool = False
) -> Iterator[Model]:
    """Have the published model as the engine runs it, or as diffusers does; tensors made inside are fake.

    distilled: with the motion module of Lightning and AnimateLCM.
    """
    with torch.device("meta"):
        parts = animatediff.build(distilled=distilled)
        moving = UNetMotionModel.from_unet2d(parts["unet"], parts["motion_adapter"], False)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode(), torch.inference_mode():
            unet = UNetMotionModel.from_config(moving.config).eval()
            encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**animatediff.IMAGE_ENCODER)).eval()
            model = Model(
                parts,
                unet,
                SparseControlNetModel.from_config(animatediff.CONFIGS["controlnet/config.json"]).eval(),
                AutoencoderKL.from_config(animatediff.CONFIGS["vae/config.json"]).eval(),
                StyleModel(Path(), encoder, Adapter(unet, encoder.config.projection_dim), unet),
            )
            if as_the_engine:
                use_chunked_feed_forward(model.moving)
                use_chunked_feed_forward(model.controlnet)
            yield model
    finally:
        torch.set_default_dtype(before)
