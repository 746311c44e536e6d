"""A clip's ends to latents: the causal video VAE, frames in groups as they come, whole or in tiles.

The rest of the clip is grey, and never there as a whole: the VAE gets a frame, then four at a time, as in
diffusers' `encode`, with what the convolutions along time keep of those before. The same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

from i2v.engines.wan.decode import STRIDE, TILE, fades


def encode_groups(
    vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Return the (1, C, 1 + `groups`, h, w) latents, as the VAE has them, of a clip with these ends.

    Args:
        first, last: (1, 3, 1, H, W) in [-1, 1].
        groups: of four frames, the last of which is `last` where there is one.
    """
    # what each convolution keeps of the frames before: diffusers' encoder fills it in, in its own order
    kept: list[Any] = [None] * sum(isinstance(part, WanCausalConv3d) for part in vae.encoder.modules())
    size = vae.config.scale_factor_temporal
    parts = _frames(first, last, groups, size)
    encoded = [vae.encoder(part, feat_cache=kept, feat_idx=[0]) for part in parts]
    mean: torch.Tensor = vae.quant_conv(torch.cat(encoded, dim=2)).chunk(2, dim=1)[0]
    return mean


def _frames(first: torch.Tensor, last: torch.Tensor | None, groups: int, size: int) -> Iterator[torch.Tensor]:
    yield first
    for index in range(groups):
        part = first.new_zeros(*first.shape[:2], size, *first.shape[3:])
        if last is not None and index == groups - 1:
            part[:, :, -1:] = last
        yield part


def encode_in_tiles(
    vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Return the same in less memory, not exactly: of tiles, whose latents fade into each other."""
    scale = vae.config.scale_factor_spatial
    height, width = (side // scale for side in first.shape[3:])
    whole = first.new_zeros(1, vae.config.z_dim, 1 + groups, height, width)
    tile, stride = TILE // scale, STRIDE // scale
    for top, rows in fades(height, tile, stride):
        for left, columns in fades(width, tile, stride):
            bottom, right = top + len(rows), left + len(columns)
            down, across = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
            seen_last = None if last is None else last[..., down, across]
            encoded = encode_groups(vae, first[..., down, across], seen_last, groups)
            whole[..., top:bottom, left:right] += encoded * (rows[:, None] * columns).to(encoded)
    return whole
