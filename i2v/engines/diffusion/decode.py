"""Latents to frames by a VAE that looks at each frame alone, so many frames at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from diffusers import AutoencoderKL

from i2v.core.errors import Notice
from i2v.engines.base import Decoded
from i2v.engines.diffusion import vae as forward
from i2v.engines.diffusion.estimates import CHUNK_PIXELS, CUDA_CHUNK_PIXELS
from i2v.engines.diffusion.pixels import decode_in_float32, to_uint8
from i2v.engines.kernels.plain import PLAIN, Operations

Decode = Callable[[AutoencoderKL, torch.Tensor], torch.Tensor]


def decode_frames(
    vae: AutoencoderKL,
    latents: torch.Tensor,
    chunk: int,
    tiling: bool = False,
    operations: Operations = PLAIN,
) -> Iterator[Decoded]:
    """Decode (1, C, F, h, w) latents, `chunk` frames at a time, into (n, H, W, 3) uint8.

    A `chunk` of 0 is as many frames as have `CHUNK_PIXELS` (or `CUDA_CHUNK_PIXELS`) together, at least one.

    With `tiling`, frames larger than what the VAE was trained on are decoded in tiles of that size, which is
    not exact; a notice says so.

    A chunk that decodes to NaN, which half precision does on some cards, is decoded again in float32, with a
    notice.
    """
    frames = latents[0].transpose(0, 1) * (1 / vae.config.scaling_factor)  # multiplied, as stock rounds
    together = CUDA_CHUNK_PIXELS if latents.is_cuda else CHUNK_PIXELS
    chunk = chunk or max(1, together // _pixels_of_a_frame(vae, latents))
    decode: Decode = partial(_decode, operations=operations)
    notices: tuple[Notice, ...] = ()
    if tiling and max(latents.shape[3:]) > vae.tile_latent_min_size:
        decode = _decode_in_tiles
        notices = (Notice("decode.tiled", {"side": vae.tile_sample_min_size}),)
    for start in range(0, len(frames), chunk):
        part = frames[start : start + chunk]
        pixels = decode(vae, part)
        if not torch.isfinite(pixels).all():
            notices += (
                Notice("decode.nan", {"count": len(part), "dtype": str(vae.dtype).removeprefix("torch.")}),
            )
            pixels = decode_in_float32(vae, partial(decode, vae, part))
        yield Decoded(to_uint8(pixels), notices)
        notices = ()


def _pixels_of_a_frame(vae: AutoencoderKL, latents: torch.Tensor) -> int:
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    return int(latents.shape[-1] * latents.shape[-2] * scale**2)


@torch.inference_mode()
def _decode(vae: AutoencoderKL, latents: torch.Tensor, operations: Operations = PLAIN) -> torch.Tensor:
    return forward.decode(vae, _prepared(vae, latents), operations).float()


@torch.inference_mode()
def _decode_in_tiles(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    pixels: torch.Tensor = vae.tiled_decode(_prepared(vae, latents), return_dict=False)[0].float()
    return pixels


def _prepared(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    return latents.to(vae.dtype).contiguous(memory_format=torch.channels_last)  # as CPU kernels like it best
