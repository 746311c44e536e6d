"""The UNet's convolutions: within each frame, and along each pixel's history.

Weights have their published names.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from i2v.engines.diffusion.vae import convolve
from i2v.engines.i2vgen_xl.layouts import as_frames, over_time
from i2v.engines.kernels.plain import PLAIN, Operations


class ResnetBlock(nn.Module):
    """Two convolutions of a picture, told of the time between them, and the picture."""

    time_emb_proj: nn.Linear | None
    conv_shortcut: nn.Conv2d | None

    def __init__(self, in_channels: int, out_channels: int, time_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        changes = in_channels != out_channels
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if changes else None

    def forward(
        self, hidden: torch.Tensor, time: torch.Tensor | None, operations: Operations = PLAIN
    ) -> torch.Tensor:
        """See `convolve`."""
        return convolve(self, hidden, time, operations)


class TemporalConvLayer(nn.Module):
    """Four convolutions along each pixel's history, and the picture."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv1 = _normed_convolution(channels, groups, position=2)
        self.conv2, self.conv3, self.conv4 = (
            _normed_convolution(channels, groups, position=3) for _ in range(3)
        )

    def forward(self, hidden: torch.Tensor, num_frames: int, operations: Operations = PLAIN) -> torch.Tensor:
        """(B*F, C, h, w) -> the same shape. A picture whose rows are frames is convolved, by 3 x 1."""
        before = clip = over_time(hidden, num_frames)
        left = None
        for step in (self.conv1, self.conv2, self.conv3, self.conv4):
            norm, conv = cast("nn.GroupNorm", step[0]), cast("nn.Conv3d", step[-1])
            # the kernel is 3 frames by 1 x 1 pixels, and h*w is one axis here
            clip, left = operations.convolve(
                operations.group_norm(norm, clip, left, silu=True),
                conv.weight[..., 0],
                conv.bias,
                padding=(1, 0),
            )
        return as_frames(operations.add(clip, before, left).permute(0, 2, 3, 1), *hidden.shape[2:])


def _normed_convolution(channels: int, groups: int, position: int) -> nn.ModuleList:
    """Return a norm and a convolution. The latter's published names have this `position`."""
    norm, conv = nn.GroupNorm(groups, channels), nn.Conv3d(channels, channels, (3, 1, 1))
    return nn.ModuleList([norm, *(nn.Identity() for _ in range(position - 1)), conv])
