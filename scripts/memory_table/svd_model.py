"""What each stage of a clip of Stable Video Diffusion takes, counted by running its engine on fake tensors.

As `simulate` does for I2VGen-XL, whose words on what is counted hold here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import CLIPVisionModelWithProjection

from i2v.engines.diffusion.feed_forward import set_chunk_tokens
from i2v.engines.svd.conditioning import Conditioning
from i2v.engines.svd.temporal_decoder import decode_clip
from i2v.engines.svd.transformer import use_lean_transformers
from i2v.engines.svd.unet import predict
from scripts.full_size import svd
from scripts.memory_table.simulate import Cost, counting

SCALE = 8  # pixels a latent, in each direction


@dataclass(frozen=True)
class Model:
    """The parts without values."""

    unet: UNetSpatioTemporalConditionModel
    vae: AutoencoderKLTemporalDecoder
    image_encoder: CLIPVisionModelWithProjection

    def weights(self) -> dict[str, int]:
        """Return how many numbers each part holds."""
        parts: dict[str, nn.Module] = vars(self)
        return {
            name: sum(tensor.numel() for tensor in part.state_dict().values()) for name, part in parts.items()
        }

    def step(self, height: int, width: int, num_frames: int, rows: int, passes: int, chunk: int = 0) -> Cost:
        """Run one denoising step at `height` x `width` latents."""
        latents = torch.empty(1, num_frames, 4, height, width)
        given = Conditioning(
            torch.empty(rows, 1, 1024), torch.empty(rows, 4, height, width), torch.empty(rows, 3)
        )
        set_chunk_tokens(self.unet, chunk)
        with counting() as counted:
            time = torch.tensor(1.6)
            prediction = torch.cat([predict(self.unet, latents, time, part) for part in given.split(passes)])
            del prediction
        return counted[0]

    def encode(self, height: int, width: int) -> Cost:
        """Encode a picture of `height` x `width` pixels by the VAE; next to it CLIP takes nothing."""
        with counting() as counted:
            self.vae.encode(torch.empty(1, 3, height, width)).latent_dist.mode()
        return counted[0]

    def decode(self, height: int, width: int, num_frames: int, as_stock: bool = False) -> Cost:
        """Decode `num_frames` frames of `height` x `width` pixels together."""
        latents = torch.empty(num_frames, 4, height // SCALE, width // SCALE)
        with counting() as counted:
            if as_stock:
                self.vae.decode(latents, num_frames=num_frames).sample.float()
            else:
                decode_clip(self.vae.decoder, latents).float()
        return counted[0]


@contextmanager
def build(dtype: torch.dtype = torch.float16, as_the_engine: bool = True) -> Iterator[Model]:
    """Have the published model as the engine runs it, or as diffusers does; tensors made inside are fake."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode(), torch.inference_mode():
            model = Model(**{name: part.eval() for name, part in svd.build().items()})  # type: ignore[arg-type]
            if as_the_engine:
                use_lean_transformers(model.unet)
            yield model
    finally:
        torch.set_default_dtype(before)
