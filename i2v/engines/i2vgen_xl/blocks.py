"""The UNet's blocks: some layers at one size of picture each, and how many channels every one has.

A layer is a convolution within frames and one along time, and, where the configuration says so, two
transformers. What runs them in which order is `unet`'s business. Weights have their published names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import nn

from i2v.engines.i2vgen_xl.resnet import ResnetBlock, TemporalConvLayer
from i2v.engines.i2vgen_xl.transformer import SpatialTransformer, TemporalTransformer
from i2v.engines.i2vgen_xl.upsampling import Upsample

_HAS_TRANSFORMERS = {
    "CrossAttnDownBlock3D": True,
    "DownBlock3D": False,
    "CrossAttnUpBlock3D": True,
    "UpBlock3D": False,
}


@dataclass(frozen=True)
class UNetConfig:
    """What `unet/config.json` says, by its names; the defaults are the published model's."""

    in_channels: int = 4
    out_channels: int = 4
    down_block_types: tuple[str, ...] = (*["CrossAttnDownBlock3D"] * 3, "DownBlock3D")
    up_block_types: tuple[str, ...] = ("UpBlock3D", *["CrossAttnUpBlock3D"] * 3)
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    cross_attention_dim: int = 1024
    attention_head_dim: int = 64

    def __post_init__(self) -> None:
        types = self.down_block_types + self.up_block_types
        if unknown := set(types) - _HAS_TRANSFORMERS.keys():
            raise ValueError(f"unknown block types: {', '.join(sorted(unknown))}")
        counts = {
            name: len(getattr(self, name))
            for name in ("down_block_types", "up_block_types", "block_out_channels")
        }
        if len(set(counts.values())) > 1:
            raise ValueError(f"lengths differ: {counts}")

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> UNetConfig:
        """Take what is known of `settings`; the rest does not change the network, as diffusers has it."""
        known = {field.name for field in fields(cls)} & settings.keys()
        values = {name: settings[name] for name in known}
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})  # type: ignore[arg-type]

    @property
    def time_channels(self) -> int:
        return 4 * self.block_out_channels[0]


class Layer(NamedTuple):
    """What a block has several of; those at the smallest or largest size have no transformers."""

    resnet: ResnetBlock
    temp_conv: TemporalConvLayer
    attention: SpatialTransformer | None
    temp_attention: TemporalTransformer | None


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> (N, C, h/2, w/2), rounded up"""
        halved: torch.Tensor = self.conv(hidden)
        return halved


class Block(nn.Module):
    """Layers, and what leads to the next size where there is one.

    Args:
        widths: channels that each layer gets and gives.
        transformers: how many layers, from the first, have them.
    """

    def __init__(self, config: UNetConfig, widths: Sequence[tuple[int, int]], transformers: int) -> None:
        super().__init__()
        groups, head_dim = config.norm_num_groups, config.attention_head_dim
        outs = [out for _, out in widths]
        self.resnets = nn.ModuleList(
            ResnetBlock(before, out, config.time_channels, groups) for before, out in widths
        )
        self.temp_convs = nn.ModuleList(TemporalConvLayer(out, groups) for out in outs)
        self.attentions = nn.ModuleList(
            SpatialTransformer(out, out // head_dim, head_dim, config.cross_attention_dim, groups)
            for out in outs[:transformers]
        )
        self.temp_attentions = nn.ModuleList(
            TemporalTransformer(out, out // head_dim, head_dim, groups) for out in outs[:transformers]
        )
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def layers(self) -> Iterator[Layer]:
        """Yield the layers in order."""
        lists = (self.resnets, self.temp_convs, self.attentions, self.temp_attentions)
        for parts in zip_longest(*lists):
            yield Layer._make(parts)


def down_block(config: UNetConfig, number: int) -> Block:
    before, out = config.block_out_channels[max(0, number - 1)], config.block_out_channels[number]
    widths = [(before, out), *[(out, out)] * (config.layers_per_block - 1)]
    block = Block(config, widths, _transformers(config.down_block_types[number], widths))
    if number + 1 < len(config.block_out_channels):
        block.downsamplers.append(Downsample(out))
    return block


def mid_block(config: UNetConfig) -> Block:
    """Return the block at the smallest size, whose second layer has no transformers."""
    out = config.block_out_channels[-1]
    return Block(config, [(out, out)] * 2, transformers=1)


def up_block(config: UNetConfig, number: int) -> Block:
    """Return a block on the way up: to what each layer gets, a skip of the way down has been joined."""
    upward = config.block_out_channels[::-1]
    before, out, after = upward[max(0, number - 1)], upward[number], upward[min(number + 1, len(upward) - 1)]
    hidden = [before, *[out] * config.layers_per_block]
    skips = [*[out] * config.layers_per_block, after]
    widths = [(mine + skip, out) for mine, skip in zip(hidden, skips, strict=True)]
    block = Block(config, widths, _transformers(config.up_block_types[number], widths))
    if number + 1 < len(upward):
        block.upsamplers.append(Upsample(out))
    return block


def _transformers(block_type: str, widths: Sequence[object]) -> int:
    return len(widths) if _HAS_TRANSFORMERS[block_type] else 0
