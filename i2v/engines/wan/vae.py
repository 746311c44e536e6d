"""The VAE's layers, as diffusers computes them, in less memory: the same numbers up to rounding.

diffusers' norm makes three tensors of what it is given, its convolution two, with the frames before and with
the border, and its blocks copy what they begin with. Here a norm makes one tensor, changed in place, the
convolution adds the border itself, and nothing is copied that nobody changes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanCausalConv3d,
    WanResidualUpBlock,
    WanRMS_norm,
)
from torch import nn


class LeanNorm(WanRMS_norm):  # type: ignore[misc]
    """diffusers' norm, for float32."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(B, C, ...) -> the same shape."""
        # F.normalize, which divides into a tensor of its own
        length = torch.linalg.vector_norm(states, dim=1, keepdim=True).clamp_min(1e-12)
        return states.div(length).mul_(self.scale).mul_(self.gamma)


class LeanCausalConv3d(WanCausalConv3d):  # type: ignore[misc]
    """diffusers' convolution, which looks at earlier frames alone."""

    def forward(self, states: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, f, h, w) -> (B, C', f', h', w'). cache_x: up to two frames that came before."""
        width, _, height, _, before, _ = self._padding
        if cache_x is not None and before > 0:
            states = torch.cat([cache_x, states], dim=2)
            before -= cache_x.shape[2]
        if before > 0:
            states = F.pad(states, (0, 0, 0, 0, before, 0))
        return F.conv3d(states, self.weight, self.bias, self.stride, (0, height, width))


class LeanUpBlock(WanResidualUpBlock):  # type: ignore[misc]
    """diffusers' block of the decoder."""

    def forward(
        self,
        states: torch.Tensor,
        feat_cache: list[Any],
        feat_idx: list[int],
        first_chunk: bool = False,
    ) -> torch.Tensor:
        """(B, C, f, h, w) -> (B, C', f', h', w'). The lists are diffusers' (`decode.decode_latents`)."""
        given = states
        for resnet in self.resnets:
            states = resnet(states, feat_cache=feat_cache, feat_idx=feat_idx)
        if self.upsampler is None:
            return states
        states = self.upsampler(states, feat_cache=feat_cache, feat_idx=feat_idx)
        return states.add_(self.avg_shortcut(given, first_chunk=first_chunk))


def use_lean_layers(vae: AutoencoderKLWan) -> None:
    """Put them into `vae`, whose tensors keep their names and values."""
    for module in vae.modules():
        if isinstance(module, WanRMS_norm):
            module.__class__ = LeanNorm
        elif isinstance(module, WanCausalConv3d):
            module.__class__ = LeanCausalConv3d
        elif isinstance(module, WanResidualUpBlock):
            module.__class__ = LeanUpBlock
        elif isinstance(module, nn.SiLU):
            module.inplace = True  # what it is given is a norm's own result
