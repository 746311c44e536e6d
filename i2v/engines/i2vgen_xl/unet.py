"""I2VGen-XL's UNet: what diffusers' `I2VGenXLUNet` computes, with less work.

The same weights under the same names, and the same numbers up to rounding; the difference is what is not
done:

- What no step changes is computed once a clip (`ClipContext`), keys and values of cross-attention among it.
- The rows of classifier-free guidance are one row until the first cross-attention, where they first differ.
- Tensors are channels-last throughout, so that pictures, clips and tokens are views of each other.
- A temporal convolution is a 2-D one, over a picture whose rows are frames.
- Time enters a resnet as its convolution's bias; divisions by 1 and dropout are not run.
- Upsampling is a phase convolution (`upsampling`), from `UNet.lay_out` on.
- Norms, gates and sums are `Operations`: on CUDA one kernel each, with what comes before or after.

Rows (B) and frames (F) share the leading axis, as in diffusers. This knows nothing of schedulers, guidance
scales or pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
import torch.nn.functional as F
from torch import nn

from i2v.engines.i2vgen_xl.attention import KeyValue, SelfAttention
from i2v.engines.i2vgen_xl.blocks import Block, Layer, UNetConfig, down_block, mid_block, up_block
from i2v.engines.i2vgen_xl.embeddings import TemporalEncoder, TimestepEmbedding, sinusoids
from i2v.engines.i2vgen_xl.layouts import use_channels_last_weights
from i2v.engines.i2vgen_xl.transformer import SpatialTransformer, TemporalTransformer
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions
from i2v.engines.kernels.plain import PLAIN, Operations

if TYPE_CHECKING:  # which knows the components, and so this module
    from i2v.engines.i2vgen_xl.conditioning import Conditioning


@dataclass(frozen=True)
class ClipContext:
    """What the UNet makes of a `Conditioning`, once for all steps.

    Attributes:
        features: (1, C, F, h, w): what is joined to the latents, the same for every row.
        fps: (1, T): the frame rate's part of the time embedding.
        keys_values: what each cross-attention attends to, of B rows.
    """

    features: torch.Tensor
    fps: torch.Tensor
    keys_values: dict[SpatialTransformer, KeyValue]


class Run(Protocol):
    """How a layer's part is run: called, or as what `compiled` has made of it."""

    def __call__(self, part: nn.Module, *arguments: object) -> torch.Tensor: ...


def call(part: nn.Module, *arguments: object) -> torch.Tensor:
    result: torch.Tensor = part(*arguments)
    return result


class UNet(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        channels, first = config.in_channels, config.block_out_channels[0]
        context, time = config.cross_attention_dim, config.time_channels
        self.conv_in = nn.Conv2d(2 * channels, first, 3, padding=1)
        self.transformer_in = TemporalTransformer(
            first, heads=8, head_dim=config.attention_head_dim, groups=config.norm_num_groups
        )
        self.image_latents_proj_in = nn.Sequential(
            nn.Conv2d(4, 4 * channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(4 * channels, 4 * channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(4 * channels, channels, 3, padding=1),
        )
        self.image_latents_temporal_encoder = TemporalEncoder(channels)
        self.image_latents_context_embedding = nn.Sequential(
            nn.Conv2d(4, 8 * channels, 3, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d((32, 32)),
            nn.Conv2d(8 * channels, 16 * channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(16 * channels, context, 3, stride=2, padding=1),
        )
        self.time_embedding = TimestepEmbedding(first, time)
        self.context_embedding = nn.Sequential(
            nn.Linear(context, time), nn.SiLU(), nn.Linear(time, context * channels)
        )
        self.fps_embedding = nn.Sequential(nn.Linear(first, time), nn.SiLU(), nn.Linear(time, time))
        sizes = range(len(config.block_out_channels))
        self.down_blocks = nn.ModuleList(down_block(config, number) for number in sizes)
        self.mid_block = mid_block(config)
        self.up_blocks = nn.ModuleList(up_block(config, number) for number in sizes)
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, first)
        self.conv_out = nn.Conv2d(first, config.out_channels, 3, padding=1)

    @classmethod
    def from_config(cls, settings: Mapping[str, object]) -> UNet:
        """Build what `unet/config.json` describes; raises `ValueError` or `TypeError` where it cannot be."""
        return cls(UNetConfig.of(settings))

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_in.weight.dtype

    def lay_out(self, joint_projections: bool) -> None:
        """Put the weights into the order that kernels take them in, once they are loaded.

        Not all tensors have their published names and shapes after that.
        """
        use_phase_convolutions(self)
        use_channels_last_weights(self)
        if joint_projections:
            for module in self.modules():
                if isinstance(module, SelfAttention):
                    module.join_projections()

    # --- once a clip

    def encode_context(self, conditioning: Conditioning) -> ClipContext:
        """Compute what no step changes. Picture latents and frame rate are every row's (see `condition`)."""
        fps = self._sinusoids(conditioning.fps[:1])
        first_frame = self.image_latents_context_embedding(conditioning.image_latents[:1, :, 0])
        rows = len(conditioning.prompt_embeds)
        picture = self.context_embedding(conditioning.image_embeddings)
        context = torch.cat(
            [
                conditioning.prompt_embeds,
                first_frame.flatten(2).transpose(1, 2).expand(rows, -1, -1),
                picture.view(rows, self.config.in_channels, self.config.cross_attention_dim),
            ],
            dim=1,
        )  # (B, 77 + 64 + 4, D)
        return ClipContext(
            features=self._features(conditioning.image_latents[:1]),
            fps=self.fps_embedding(fps),
            keys_values={
                module: module.block.attn2.encode(context)
                for module in self.modules()
                if isinstance(module, SpatialTransformer)
            },
        )

    def _features(self, image_latents: torch.Tensor) -> torch.Tensor:
        """(1, C, F, h, w) -> the same shape: convolved by frame, then mixed along time by pixel."""
        frames = self.image_latents_proj_in(image_latents[0].transpose(0, 1))  # (F, C, h, w)
        histories = frames.flatten(2).permute(2, 0, 1)  # (h*w, F, C)
        mixed: torch.Tensor = self.image_latents_temporal_encoder(histories)
        return mixed.permute(2, 1, 0).reshape(image_latents.shape)

    def _sinusoids(self, positions: torch.Tensor) -> torch.Tensor:
        return sinusoids(positions, self.config.block_out_channels[0]).to(self.dtype)

    # --- at each step

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        clip: ClipContext,
        chunk_tokens: int = 0,
        operations: Operations = PLAIN,
        run: Run = call,
    ) -> torch.Tensor:
        """Predict from `latents` (1, C, F, h, w) under each of the clip's B rows: (B, C, F, h, w).

        Args:
            timestep: of no dimension.
            chunk_tokens: tokens that a transformer takes at a time, for less memory; 0 for all.
            operations: how norms, gates and sums are computed.
            run: how the layers' parts are.
        """
        walk = _Walk(
            hidden=self.enter(latents, clip),
            time=self.embed_time(timestep, clip),
            keys_values=clip.keys_values,
            num_frames=latents.shape[2],
            chunk_tokens=chunk_tokens,
            operations=operations,
            run=run,
        )
        walk.along_time(self.transformer_in)
        skips = [walk.hidden]
        for block in _blocks(self.down_blocks):
            for layer in block.layers():
                walk.through(layer)
                skips.append(walk.hidden)
            for downsampler in block.downsamplers:
                walk.hidden = downsampler(walk.hidden)
                skips.append(walk.hidden)

        for layer in self.mid_block.layers():
            walk.through(layer)

        for block in _blocks(self.up_blocks):
            for layer in block.layers():
                walk.join(skips.pop())
                walk.through(layer)
            for upsampler in block.upsamplers:
                walk.hidden = upsampler(walk.hidden, skips[-1].shape[2:])
        return self.leave(walk.hidden, walk.num_frames, operations)

    def embed_time(self, timestep: torch.Tensor, clip: ClipContext) -> torch.Tensor:
        """Return (1, T), activated: time and frame rate are the same for every row and frame."""
        return F.silu(self.time_embedding(self._sinusoids(timestep[None])) + clip.fps)

    def enter(self, latents: torch.Tensor, clip: ClipContext) -> torch.Tensor:
        """Convolve latents and the first frame's features, frame by frame: (F, C', h, w)."""
        frames = torch.cat([latents, clip.features], dim=1)[0].transpose(0, 1)
        hidden: torch.Tensor = self.conv_in(frames.contiguous(memory_format=torch.channels_last))
        return hidden

    def leave(self, hidden: torch.Tensor, num_frames: int, operations: Operations = PLAIN) -> torch.Tensor:
        """(B*F, C', h, w) -> (B, C, F, h, w)"""
        prediction: torch.Tensor = self.conv_out(operations.group_norm(self.conv_norm_out, hidden, silu=True))
        return prediction.view(-1, num_frames, *prediction.shape[1:]).transpose(1, 2)


def _blocks(modules: nn.ModuleList) -> Iterator[Block]:
    return cast("Iterator[Block]", iter(modules))


@dataclass
class _Walk:
    """A clip on its way through the UNet at one step.

    `hidden` (R*F, C, h, w) is held here and in no caller's variable: what is used up is freed at once.
    """

    hidden: torch.Tensor
    time: torch.Tensor  # (1, T)
    keys_values: dict[SpatialTransformer, KeyValue]
    num_frames: int
    chunk_tokens: int
    operations: Operations
    run: Run

    def through(self, layer: Layer) -> None:
        self.hidden = self.run(layer.resnet, self.hidden, self.time, self.operations)
        self.hidden = self.run(layer.temp_conv, self.hidden, self.num_frames, self.operations)
        if layer.attention is not None:
            context = self.keys_values[layer.attention]
            self.hidden = self.run(
                layer.attention, self.hidden, context, self.num_frames, self.chunk_tokens, self.operations
            )
        if layer.temp_attention is not None:
            self.along_time(layer.temp_attention)

    def along_time(self, transformer: TemporalTransformer) -> None:
        self.hidden = self.run(transformer, self.hidden, self.num_frames, self.chunk_tokens, self.operations)

    def join(self, skip: torch.Tensor) -> None:
        """Join channels; a skip of one row is every row's."""
        rows = len(self.hidden) // len(skip)
        self.hidden = torch.cat([self.hidden, skip.repeat(rows, 1, 1, 1) if rows > 1 else skip], dim=1)
