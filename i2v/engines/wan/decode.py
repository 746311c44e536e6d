"""Latents to frames: the causal video VAE, frame after frame, whole or in tiles.

Each latent frame is decoded as it comes, with what the convolutions along time keep of those before it: no
more than one of them is held in pixels, where diffusers holds the clip. The same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify

from i2v.core.errors import I2VError, Notice
from i2v.engines.base import Decoded
from i2v.engines.diffusion.pixels import to_uint8

# Sides of a tile and how far apart tiles begin, in pixels: diffusers' own numbers.
TILE, STRIDE = 256, 192
_FRAMES = 16  # of a clip that was decoded in tiles, that are given on at a time


def decode_frames(vae: AutoencoderKLWan, latents: torch.Tensor, tiling: bool = False) -> Iterator[Decoded]:
    """Decode (1, C, F, h, w) latents, as the VAE has them, into (n, H, W, 3) uint8: first 1, then 4 a time.

    With `tiling`, frames larger than `TILE` are decoded in tiles of that size, each for the whole clip, which
    is not exact; a notice says so. The clip is then held in CPU memory, 12 bytes a pixel, and no frame comes
    before the last tile.

    Raises:
        I2VError: `decode.nan_float32`: numbers are not finite.
    """
    scale = vae.config.scale_factor_spatial
    if tiling and max(latents.shape[3:]) > TILE // scale:
        notices: tuple[Notice, ...] = (Notice("decode.tiled", {"side": TILE}),)
        for part in torch.split(_decode_in_tiles(vae, latents), _FRAMES):
            yield Decoded(to_uint8(part), notices)
            notices = ()
        return
    for part in decode_latents(vae, latents):
        yield Decoded(to_uint8(_checked(part)))


def decode_latents(vae: AutoencoderKLWan, latents: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield (n, 3, H, W) float32 of each latent frame in turn."""
    # what each convolution keeps of the frames before: diffusers' decoder fills it in, in its own order
    kept: list[Any] = [None] * sum(isinstance(part, WanCausalConv3d) for part in vae.decoder.modules())
    for index in range(latents.shape[2]):
        with torch.inference_mode():
            frame = vae.post_quant_conv(latents[:, :, index : index + 1])
            pixels = vae.decoder(frame, feat_cache=kept, feat_idx=[0], first_chunk=index == 0)
            pixels = unpatchify(pixels, vae.config.patch_size or 1)
            pixels = pixels[0].transpose(0, 1).clamp(-1, 1).float()
        yield pixels


@torch.inference_mode()
def _decode_in_tiles(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Return (F, 3, H, W) float32 on the CPU: tiles that overlap fade into each other."""
    scale = vae.config.scale_factor_spatial
    height, width = (side * scale for side in latents.shape[3:])
    frames = (latents.shape[2] - 1) * vae.config.scale_factor_temporal + 1
    clip = torch.zeros(frames, 3, height, width)
    down, across = fades(height), fades(width)
    for top, rows in down:
        for left, columns in across:
            of_tile = latents[
                ..., top // scale : (top + len(rows)) // scale, left // scale : (left + len(columns)) // scale
            ]
            weight, done = rows[:, None] * columns, 0
            for pixels in map(_checked, decode_latents(vae, of_tile)):
                part = clip[done : done + len(pixels), :, top : top + len(rows), left : left + len(columns)]
                part += pixels.cpu() * weight
                done += len(pixels)
    return clip


def _checked(pixels: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(pixels).all():
        raise I2VError("decode.nan_float32")
    return pixels


def fades(side: int, tile: int = TILE, stride: int = STRIDE) -> list[tuple[int, torch.Tensor]]:
    """Return where the tiles along a side begin, and the weight of each of a tile's pixels, (n,).

    Weights rise and fall as straight lines where tiles overlap; those of each pixel sum to 1.
    """
    starts = [0]
    while starts[-1] + tile < side:
        starts.append(starts[-1] + stride)
    overlap = tile - stride
    rising = (torch.arange(overlap) + 0.5) / overlap
    found = []
    for start in starts:
        weight = torch.ones(min(tile, side - start))
        if start:
            weight[:overlap] = rising
        if start != starts[-1]:
            weight[stride:] = 1 - rising
        found.append((start, weight))
    return found
