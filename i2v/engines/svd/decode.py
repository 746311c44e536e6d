"""Latents to frames: the temporal VAE, all frames together or so many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from diffusers import AutoencoderKLTemporalDecoder

from i2v.core.errors import Notice
from i2v.engines.base import Decoded
from i2v.engines.diffusion.pixels import decode_in_float32, to_uint8
from i2v.engines.svd.memory import frames_at_once
from i2v.engines.svd.temporal_decoder import decode_clip


def decode_frames(
    vae: AutoencoderKLTemporalDecoder, latents: torch.Tensor, chunk: int, few: bool = False
) -> Iterator[Decoded]:
    """Decode (1, F, C, h, w) latents, `chunk` frames at a time, into (n, H, W, 3) uint8.

    A `chunk` of 0 is all frames, as in diffusers, where a smaller one too makes other frames: those of two
    chunks know nothing of each other. With `few` it is a small one, to save memory; a notice says so.

    A chunk that decodes to NaN, which half precision does on some cards, is decoded again in float32, with a
    notice.
    """
    frames = latents[0] * (1 / vae.config.scaling_factor)  # multiplied, as stock rounds
    size = frames_at_once(chunk, few, len(frames))
    notices: tuple[Notice, ...] = ()
    if few and size < frames_at_once(chunk, False, len(frames)):
        notices = (Notice("svd.few_frames", {"count": size}),)
    for part in torch.split(frames, size):
        pixels = _decode(vae, part)
        if not torch.isfinite(pixels).all():
            dtype = str(vae.dtype).removeprefix("torch.")
            notices += (Notice("decode.nan", {"count": len(part), "dtype": dtype}),)
            pixels = decode_in_float32(vae, partial(_decode, vae, part))
        yield Decoded(to_uint8(pixels), notices)
        notices = ()


def _decode(vae: AutoencoderKLTemporalDecoder, latents: torch.Tensor) -> torch.Tensor:
    return decode_clip(vae.decoder, latents.to(vae.dtype)).float()
