"""A clip's latents to its frames: what diffusers' `TemporalDecoder` computes, in less memory.

The decoder mixes all frames, in norms and along time, so frames that are decoded apart differ. Here they are
decoded together and yet computed apart: what looks at one frame is run frame by frame, what looks along time
strip by strip. Two tensors of a clip are held at a time, where diffusers holds about eight. The same numbers
up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import TemporalDecoder
from diffusers.models.resnet import SpatioTemporalResBlock, TemporalResnetBlock
from torch import nn

OfFrame = Callable[[torch.Tensor], torch.Tensor]  # (1, C, h, w) -> (1, C', h', w')


@torch.inference_mode()
def decode_clip(decoder: TemporalDecoder, latents: torch.Tensor) -> torch.Tensor:
    """(F, C, h, w) -> (F, 3, H, W), as `decoder(latents, num_frames=F, ...)`."""
    clip = latents
    for before, block in blocks(decoder):
        clip = _each_frame(clip, [*before, partial(block.spatial_res_block, temb=None)])
        _mix_over_time(block, clip)
    clip = _each_frame(clip, [decoder.conv_norm_out, decoder.conv_act, decoder.conv_out])
    frames: torch.Tensor = decoder.time_conv_out(clip.transpose(0, 1)[None])[0].transpose(0, 1)
    return frames


def blocks(decoder: TemporalDecoder) -> Iterator[tuple[list[OfFrame], SpatioTemporalResBlock]]:
    """Yield the decoder's residual blocks in order, each with what is done to every frame before it."""
    first, *others = decoder.mid_block.resnets
    yield [decoder.conv_in], first
    for block, attention in zip(others, decoder.mid_block.attentions, strict=False):  # as diffusers
        yield [attention], block
    before: list[OfFrame] = []
    for up in decoder.up_blocks:
        for block in up.resnets:
            yield before, block
            before = []
        before = list(up.upsamplers or ())


def _each_frame(clip: torch.Tensor, functions: Sequence[OfFrame]) -> torch.Tensor:
    """Apply `functions` in order to each frame; `clip` itself is written to where its shape stays."""
    result: torch.Tensor | None = None
    for index in range(len(clip)):
        frame = clip[index : index + 1]
        for function in functions:
            frame = function(frame)
        if result is None:
            same = frame.shape[1:] == clip.shape[1:]
            result = clip if same else frame.new_empty(len(clip), *frame.shape[1:])
        result[index] = frame[0]
    assert result is not None
    return result


def _mix_over_time(block: SpatioTemporalResBlock, clip: torch.Tensor) -> None:
    """Blend `clip` (F, C, h, w) with what its temporal block makes of it, in place.

    The block adds to its input, so that the blend is the input and a share of what is added.
    """
    temporal: TemporalResnetBlock = block.temporal_res_block
    share = torch.sigmoid(block.time_mixer.mix_factor).to(clip.dtype)  # in a VAE, of what is temporal
    strips = _strips(clip)
    scale, shift = _norm_of(temporal.norm1, clip)
    inner = torch.empty_like(clip)
    for strip in strips:
        inner[:, :, strip] = _convolved(temporal.conv1, clip[:, :, strip], scale, shift)
    scale, shift = _norm_of(temporal.norm2, inner)
    for strip in strips:
        clip[:, :, strip] += share * _convolved(temporal.conv2, inner[:, :, strip], scale, shift)


def _strips(clip: torch.Tensor) -> list[slice]:
    """Return rows of all frames, in strips that are about as large as a frame."""
    height = clip.shape[2]
    rows = -(-height // len(clip))
    return [slice(start, start + rows) for start in range(0, height, rows)]


def _norm_of(norm: nn.GroupNorm, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the factor and the summand of each channel, (C, 1, 1) float32, that norm all frames together."""
    means, variances = [], []
    for frame in clip:
        variance, mean = torch.var_mean(frame.float().reshape(norm.num_groups, -1), dim=1, correction=0)
        means.append(mean)
        variances.append(variance)
    of_frames = torch.stack(means)
    mean = of_frames.mean(0)
    variance = torch.stack(variances).mean(0) + of_frames.var(0, correction=0)
    channels = len(norm.weight) // norm.num_groups
    factor = torch.rsqrt(variance + norm.eps).repeat_interleave(channels) * norm.weight.float()
    summand = norm.bias.float() - mean.repeat_interleave(channels) * factor
    return factor[:, None, None], summand[:, None, None]


def _convolved(
    conv: nn.Conv3d, strip: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """Norm (F, C, rows, w), activate, and convolve along time: the kernel is 3 frames by 1 x 1 pixels."""
    frames, channels, rows, width = strip.shape
    normed = F.silu(strip * scale + shift, inplace=True)  # in float32, as norms are computed
    picture = normed.to(strip.dtype).transpose(0, 1).reshape(1, channels, frames, rows * width)
    convolved = F.conv2d(picture, conv.weight[..., 0], conv.bias, padding=(1, 0))
    return convolved[0].transpose(0, 1).reshape(strip.shape)
