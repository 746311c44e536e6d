"""Frames to latents: the causal video VAE, frames in groups as they come, whole or in tiles.

A clip is never there as a whole: the VAE gets a frame, then four at a time, as in diffusers' `encode`, with
what the convolutions along time keep of those before. The same numbers. Of a clip whose ends alone are known,
the rest is grey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify
from numpy.typing import NDArray

from i2v.engines.wan.decode import STRIDE, TILE, fades

# Gives the frames of some rows and columns of the picture: (1, 3, n, H, W) in [-1, 1], one and then groups.
Frames = Callable[[slice, slice], Iterator[torch.Tensor]]
_ALL = slice(None)


def encode_groups(
    vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Return the (1, C, 1 + `groups`, h, w) latents, as the VAE has them, of a clip with these ends.

    Args:
        first, last: (1, 3, 1, H, W) in [-1, 1].
        groups: of four frames, the last of which is `last` where there is one.
    """
    return _encoded(vae, _of_ends(vae, first, last, groups)(_ALL, _ALL))


def encode_in_tiles(
    vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Return the same in less memory, not exactly: of tiles, whose latents fade into each other."""
    height, width = first.shape[3:]
    return _in_tiles(vae, _of_ends(vae, first, last, groups), height, width)


def encode_video(vae: AutoencoderKLWan, video: NDArray[np.uint8], tiling: bool = False) -> torch.Tensor:
    """Return the (1, C, f, h, w) latents, as the VAE has them, of (F, H, W, 3) frames; `tiling` as above."""
    frames = _of_video(vae, video)
    return _in_tiles(vae, frames, *video.shape[1:3]) if tiling else _encoded(vae, frames(_ALL, _ALL))


def _of_ends(vae: AutoencoderKLWan, first: torch.Tensor, last: torch.Tensor | None, groups: int) -> Frames:
    size = vae.config.scale_factor_temporal

    def frames(down: slice, across: slice) -> Iterator[torch.Tensor]:
        begin = first[..., down, across]
        yield begin
        for index in range(groups):
            part = begin.new_zeros(*begin.shape[:2], size, *begin.shape[3:])
            if last is not None and index == groups - 1:
                part[:, :, -1:] = last[..., down, across]
            yield part

    return frames


def _of_video(vae: AutoencoderKLWan, video: NDArray[np.uint8]) -> Frames:
    size = vae.config.scale_factor_temporal

    def frames(down: slice, across: slice) -> Iterator[torch.Tensor]:
        for begin in range(1 - size, len(video), size):
            part = torch.from_numpy(video[max(0, begin) : begin + size, down, across])
            yield part.permute(3, 0, 1, 2)[None].to(vae.device, vae.dtype) / 127.5 - 1

    return frames


def _encoded(vae: AutoencoderKLWan, parts: Iterable[torch.Tensor]) -> torch.Tensor:
    # what each convolution keeps of the frames before: diffusers' encoder fills it in, in its own order
    kept: list[Any] = [None] * sum(isinstance(part, WanCausalConv3d) for part in vae.encoder.modules())
    encoded = [
        vae.encoder(patchify(part, vae.config.patch_size or 1), feat_cache=kept, feat_idx=[0])
        for part in parts
    ]
    mean: torch.Tensor = vae.quant_conv(torch.cat(encoded, dim=2)).chunk(2, dim=1)[0]
    return mean


def _in_tiles(vae: AutoencoderKLWan, frames: Frames, height: int, width: int) -> torch.Tensor:
    scale = vae.config.scale_factor_spatial
    height, width, tile, stride = (side // scale for side in (height, width, TILE, STRIDE))
    whole: torch.Tensor | None = None
    for top, rows in fades(height, tile, stride):
        for left, columns in fades(width, tile, stride):
            bottom, right = top + len(rows), left + len(columns)
            down, across = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
            encoded = _encoded(vae, frames(down, across))
            if whole is None:
                whole = encoded.new_zeros(*encoded.shape[:3], height, width)
            whole[..., top:bottom, left:right] += encoded * (rows[:, None] * columns).to(encoded)
    assert whole is not None, "there is a tile"
    return whole
