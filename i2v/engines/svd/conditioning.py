"""What no step changes: the picture, seen by CLIP and by the VAE, and the numbers that go with it.

Follows diffusers' `StableVideoDiffusionPipeline` (0.42.1) value for value, so that the same weights give the
same frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from i2v.core.generation import Generation
from i2v.engines.svd.components import Components
from i2v.engines.svd.options import options_of


@dataclass(frozen=True)
class Conditioning:
    """What the UNet is given, first the unconditional row (if guided), then the conditional: B is 2 or 1.

    Attributes:
        image_embeddings: (B, 1, D).
        image_latents: (B, C, h, w), the same for every frame.
        added_time_ids: (B, 3): frame rate less 1, motion_bucket_id, noise_aug_strength.
        backwards: that of the clip run backwards, which begins with the picture that it is to end with.
    """

    image_embeddings: torch.Tensor
    image_latents: torch.Tensor
    added_time_ids: torch.Tensor
    backwards: Conditioning | None = None

    def split(self, passes: int) -> list[Conditioning]:
        """Return the rows in at most `passes` parts, in order; the tensors are views."""
        parts = zip(
            self.image_embeddings.chunk(passes),
            self.image_latents.chunk(passes),
            self.added_time_ids.chunk(passes),
            strict=True,
        )
        return [Conditioning(*part) for part in parts]


@torch.inference_mode()
def condition(components: Components, generation: Generation, image: Image.Image) -> Conditioning:
    """Encode `image` (RGB, exactly the generated size)."""
    options = options_of(generation)
    embeddings = encode_picture(components, image)
    noise, _ = draw_noise(components, generation)
    latents = encode_first_frame(components, image, options.noise_aug_strength * noise)
    values = [generation.target_fps - 1, options.motion_bucket_id, options.noise_aug_strength]
    added_time_ids = torch.tensor([values], dtype=components.dtype).to(components.device)
    if options.is_guided:
        embeddings = torch.cat([torch.zeros_like(embeddings), embeddings])
        latents = torch.cat([torch.zeros_like(latents), latents])
        added_time_ids = added_time_ids.expand(2, -1)
    return Conditioning(embeddings, latents, added_time_ids)


def draw_noise(components: Components, generation: Generation) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw what the seed gives, on the CPU: (1, 3, H, W) for the picture, then (1, F, C, h, w) of latents.

    As stock draws them: one generator for both, the first in float32.
    """
    height, width = generation.generated_height, generation.generated_width
    factor = components.vae_scale_factor
    generator = torch.Generator("cpu").manual_seed(generation.seed)
    picture = torch.randn((1, 3, height, width), generator=generator)
    shape = (
        1,
        generation.num_frames,
        components.unet.config.out_channels,
        height // factor,
        width // factor,
    )
    return picture, torch.randn(shape, generator=generator, dtype=components.dtype)


def encode_picture(components: Components, image: Image.Image) -> torch.Tensor:
    """Return the (1, 1, D) CLIP embedding of the whole picture, squeezed into a square."""
    seen = components.picture_input
    pixels = (smoothly_resized(_pixels(image), seen.height, seen.width) + 1.0) / 2.0
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (seen.mean, seen.std))
    values = ((pixels - mean) / std).to(components.device, components.dtype)
    embedding: torch.Tensor = components.image_encoder(values).image_embeds.unsqueeze(1)
    return embedding


def encode_first_frame(components: Components, image: Image.Image, noise: torch.Tensor) -> torch.Tensor:
    """Return (1, C, h, w): the latents of the picture with `noise` on it, not scaled."""
    return _encode(components, _pixels(image) + noise)


@torch.inference_mode()
def encode_frame(components: Components, pixels: torch.Tensor) -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1] -> (1, C, h, w), scaled as denoising has latents."""
    return _encode(components, pixels) * float(components.vae.config.scaling_factor)


def _encode(components: Components, pixels: torch.Tensor) -> torch.Tensor:
    """Encode (1, 3, H, W).

    A VAE that is known to overflow in half precision (`force_upcast`) does it in float32, as stock does.
    """
    vae = components.vae
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    parts = (vae.encoder, vae.quant_conv)
    try:
        if upcast:
            for part in parts:
                nn.Module.to(part, torch.float32)  # diffusers' own `to` warns at any dtype
        batch = pixels.to(components.device, parts[1].weight.dtype)
        latents: torch.Tensor = vae.encode(batch).latent_dist.mode()
        return latents.to(components.dtype)
    finally:
        if upcast:
            for part in parts:
                nn.Module.to(part, torch.float16)


def _pixels(image: Image.Image) -> torch.Tensor:
    """Return (1, 3, H, W) float32 in [-1, 1]."""
    # one batch, then permuted: the strides that stock has, and so its kernels and its rounding
    batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None]
    return batch.permute(0, 3, 1, 2) * 2.0 - 1.0


def smoothly_resized(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(N, C, H, W) -> (N, C, height, width): blurred as it shrinks, then bicubic from corner to corner.

    What the model was trained with: kornia's `resize(antialias=True)`, which took the blur from scikit-image.
    Reflects at the borders, so the picture must be larger than half a kernel: about 2 x how far it shrinks.
    """
    for axis, (before, after) in enumerate(zip(pixels.shape[2:], (height, width), strict=True)):
        sigma = max((before / after - 1) / 2, 0.001)
        pixels = _blurred(pixels, sigma, axis)
    return F.interpolate(pixels, size=(height, width), mode="bicubic", align_corners=True)


def _blurred(pixels: torch.Tensor, sigma: float, axis: int) -> torch.Tensor:
    """Blur along the height (axis 0) or the width (axis 1) with a Gaussian kernel of 4 sigma."""
    taps = int(max(4 * sigma, 3)) | 1
    distances = torch.arange(taps, dtype=pixels.dtype) - taps // 2
    kernel = torch.exp(-(distances**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    shape = (taps, 1) if axis == 0 else (1, taps)
    padding = (0, 0, taps // 2, taps // 2) if axis == 0 else (taps // 2, taps // 2, 0, 0)
    channels = pixels.shape[1]
    weight = kernel.view(1, 1, *shape).expand(channels, 1, *shape)
    return F.conv2d(F.pad(pixels, padding, mode="reflect"), weight, groups=channels)
