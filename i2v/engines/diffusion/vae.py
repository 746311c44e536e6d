"""The VAE: frames encoded, and its decoder, forward, as diffusers' `AutoencoderKL.decode` computes.

The same numbers up to rounding; norms and sums are `Operations`, on CUDA one kernel each. Decoding in tiles
stays diffusers' business.
"""

from __future__ import annotations

from typing import Protocol

import torch
from diffusers import AutoencoderKL
from torch import nn

from i2v.engines.kernels.plain import PLAIN, Operations


def encode(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, C, h, w), the mode, scaled as denoising has latents."""
    latents: torch.Tensor = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
    return latents * float(vae.config.scaling_factor)


def decode(vae: AutoencoderKL, latents: torch.Tensor, operations: Operations = PLAIN) -> torch.Tensor:
    """(N, C, h, w) latents -> (N, 3, H, W) in [-1, 1]."""
    decoder = vae.decoder
    hidden = decoder.conv_in(vae.post_quant_conv(latents) if vae.post_quant_conv else latents)
    first, *resnets = decoder.mid_block.resnets
    hidden = convolve(first, hidden, None, operations)
    for attention, resnet in zip(decoder.mid_block.attentions, resnets, strict=True):
        if attention is not None:
            hidden = attention(hidden)
        hidden = convolve(resnet, hidden, None, operations)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            hidden = convolve(resnet, hidden, None, operations)
        for upsampler in block.upsamplers or ():
            hidden = upsampler(hidden)
    pixels: torch.Tensor = decoder.conv_out(operations.group_norm(decoder.conv_norm_out, hidden, silu=True))
    return pixels


class Resnet(Protocol):
    """What a residual block holds."""

    norm1: nn.GroupNorm
    conv1: nn.Conv2d
    time_emb_proj: nn.Linear | None
    norm2: nn.GroupNorm
    conv2: nn.Conv2d
    conv_shortcut: nn.Conv2d | None


def convolve(
    resnet: Resnet, hidden: torch.Tensor, time: torch.Tensor | None, operations: Operations = PLAIN
) -> torch.Tensor:
    """(N, C, h, w) -> (N, C', h, w). `time`: (1, T), activated, if any; what it adds is part of a bias."""
    bias = resnet.conv1.bias
    if time is not None and resnet.time_emb_proj is not None:
        bias = bias + resnet.time_emb_proj(time)[0]
    states = operations.group_norm(resnet.norm1, hidden, silu=True)
    states, left = operations.convolve(states, resnet.conv1.weight, bias, padding=1)
    states = operations.group_norm(resnet.norm2, states, left, silu=True)
    states, left = operations.convolve(states, resnet.conv2.weight, resnet.conv2.bias, padding=1)
    if resnet.conv_shortcut is not None:
        hidden = resnet.conv_shortcut(hidden)
    return operations.add(states, hidden, left)
