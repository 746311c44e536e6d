"""The three ways in which the UNet's parts see one tensor, views of each other where it is channels-last.

Frames (B*F, C, h, w) for spatial convolutions, a clip (B, C, F, h*w) for what looks along time, tokens
(B, F, h*w, C) for transformers. In channels-last memory all three are B, F, h, w, C in that order: nothing is
moved between them.
"""

from __future__ import annotations

import torch
from torch import nn

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by a weight's dimensions


def as_tokens(frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """(B*F, C, h, w) -> (B, F, h*w, C)"""
    _, channels, height, width = frames.shape
    return frames.permute(0, 2, 3, 1).reshape(-1, num_frames, height * width, channels)


def as_frames(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, F, h*w, C) -> (B*F, C, h, w)"""
    return tokens.reshape(-1, height, width, tokens.shape[-1]).permute(0, 3, 1, 2)


def over_time(frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """(B*F, C, h, w) -> (B, C, F, h*w): a picture whose rows are frames"""
    return as_tokens(frames, num_frames).permute(0, 3, 1, 2)


def use_channels_last_weights(model: nn.Module) -> None:
    """Store convolutions' weights as kernels want them for such inputs: else each call copies them first."""
    for weight in model.parameters():
        if weight.dim() in _CHANNELS_LAST:
            weight.data = weight.data.contiguous(memory_format=_CHANNELS_LAST[weight.dim()])
