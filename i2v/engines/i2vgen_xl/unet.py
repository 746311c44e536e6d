"""I2VGen-XL's UNet, forward: what diffusers' `I2VGenXLUNet` computes, over its weights, with less work.

The same numbers up to rounding; the difference is what is not done:

- What no step changes is computed once a clip (`ClipContext`), keys and values of cross-attention among it.
- The rows of classifier-free guidance are one row until the first cross-attention, where they first differ.
- Tensors are channels-last throughout, so that pictures, clips and tokens are views of each other.
- A temporal convolution is a 2-D one, over a picture whose rows are frames.
- Time enters a resnet as its convolution's bias; divisions by 1 and dropout are not run.
- Upsampling is a phase convolution (`upsampling`), put into the modules when they are loaded.
- Norms, gates and sums are `Operations`: on CUDA one kernel each, with what comes before or after.

Rows (B) and frames (F) share the leading axis, as in diffusers. This knows nothing of schedulers, guidance
scales or pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from diffusers import I2VGenXLUNet
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_3d_blocks import (
    CrossAttnDownBlock3D,
    CrossAttnUpBlock3D,
    DownBlock3D,
    UNetMidBlock3DCrossAttn,
    UpBlock3D,
)

from i2v.engines.diffusion.vae import convolve
from i2v.engines.i2vgen_xl.attention import KeyValue, key_value, spatial_transformer, temporal_transformer
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.layouts import as_frames, over_time
from i2v.engines.kernels.plain import MAX_ATTENTION_BATCH, PLAIN, Operations


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
    keys_values: dict[Transformer2DModel, KeyValue]


def encode_context(unet: I2VGenXLUNet, conditioning: Conditioning) -> ClipContext:
    """Compute what no step changes. Picture latents and frame rate are every row's (see `condition`)."""
    fps = unet.time_proj(conditioning.fps[:1]).to(unet.dtype)
    first_frame = unet.image_latents_context_embedding(conditioning.image_latents[:1, :, 0])
    rows = len(conditioning.prompt_embeds)
    picture = unet.context_embedding(conditioning.image_embeddings)
    context = torch.cat(
        [
            conditioning.prompt_embeds,
            first_frame.flatten(2).transpose(1, 2).expand(rows, -1, -1),
            picture.view(rows, unet.config.in_channels, unet.config.cross_attention_dim),
        ],
        dim=1,
    )  # (B, 77 + 64 + 4, D)
    return ClipContext(
        features=_features(unet, conditioning.image_latents[:1]),
        fps=unet.fps_embedding(fps),
        keys_values={
            module: key_value(module.transformer_blocks[0].attn2, context)
            for module in unet.modules()
            if isinstance(module, Transformer2DModel)
        },
    )


def _features(unet: I2VGenXLUNet, image_latents: torch.Tensor) -> torch.Tensor:
    """(1, C, F, h, w) -> the same shape: convolved by frame, then mixed along time by pixel."""
    frames = unet.image_latents_proj_in(image_latents[0].transpose(0, 1))  # (F, C, h, w)
    histories = frames.flatten(2).permute(2, 0, 1)  # (h*w, F, C)
    mixed = [
        unet.image_latents_temporal_encoder(part) for part in torch.split(histories, MAX_ATTENTION_BATCH)
    ]
    return torch.cat(mixed).permute(2, 1, 0).reshape(image_latents.shape)


def predict(
    unet: I2VGenXLUNet,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    clip: ClipContext,
    chunk_tokens: int = 0,
    operations: Operations = PLAIN,
    parts: Parts | None = None,
) -> torch.Tensor:
    """Return the (B, C, F, h, w) prediction for `latents` (1, C, F, h, w) under each of the clip's B rows.

    Args:
        timestep: of no dimension.
        chunk_tokens: tokens that a transformer takes at a time, for less memory; 0 for all.
        operations: how norms, gates and sums are computed.
        parts: what runs a layer, `PARTS` unless they are compiled.
    """
    # Time and frame rate are the same for every row and frame
    time = unet.time_embedding(unet.time_proj(timestep[None]).to(unet.dtype)) + clip.fps

    # Latents and the first frame's features, frame by frame
    frames = torch.cat([latents, clip.features], dim=1)[0].transpose(0, 1)
    frames = frames.contiguous(memory_format=torch.channels_last)
    walk = _Walk(
        hidden=unet.conv_in(frames),
        time=F.silu(time),
        keys_values=clip.keys_values,
        num_frames=latents.shape[2],
        chunk_tokens=chunk_tokens,
        operations=operations,
        parts=parts or PARTS,
    )
    walk.along_time(unet.transformer_in)
    skips = [walk.hidden]
    for block in unet.down_blocks:
        for layer in layers(block):
            walk.through(layer)
            skips.append(walk.hidden)
        for downsampler in block.downsamplers or ():
            walk.hidden = downsampler(walk.hidden)
            skips.append(walk.hidden)

    for layer in layers(unet.mid_block):
        walk.through(layer)

    for block in unet.up_blocks:
        for layer in layers(block):
            walk.join(skips.pop())
            walk.through(layer)
        for upsampler in block.upsamplers or ():
            walk.hidden = upsampler(walk.hidden, skips[-1].shape[2:])

    prediction: torch.Tensor = unet.conv_out(
        operations.group_norm(unet.conv_norm_out, walk.hidden, silu=True)
    )
    return prediction.view(-1, walk.num_frames, *prediction.shape[1:]).transpose(1, 2)


class Layer(NamedTuple):
    """What a block of the UNet has several of; those at the smallest or largest size have no attention."""

    resnet: ResnetBlock2D
    temp_conv: TemporalConvLayer
    attention: Transformer2DModel | None
    temp_attention: TransformerTemporalModel | None


Block: TypeAlias = (
    CrossAttnDownBlock3D | DownBlock3D | UNetMidBlock3DCrossAttn | CrossAttnUpBlock3D | UpBlock3D
)


def layers(block: Block) -> Iterator[Layer]:
    """Yield a block's layers in order; the middle block's second one has no attention."""
    attentions = getattr(block, "attentions", ()), getattr(block, "temp_attentions", ())
    for parts in zip_longest(block.resnets, block.temp_convs, *attentions):
        yield Layer(*parts)


def convolve_over_time(
    module: TemporalConvLayer, hidden: torch.Tensor, num_frames: int, operations: Operations = PLAIN
) -> torch.Tensor:
    """Four convolutions along each pixel's history. `hidden`: (B*F, C, h, w)."""
    before = clip = over_time(hidden, num_frames)
    left = None
    for norm, *_, conv in (module.conv1, module.conv2, module.conv3, module.conv4):
        # the kernel is 3 frames by 1 x 1 pixels, and h*w is one axis here
        weight = conv.weight[..., 0]
        clip, left = operations.convolve(
            operations.group_norm(norm, clip, left, silu=True), weight, conv.bias, padding=(1, 0)
        )
    return as_frames(operations.add(clip, before, left).permute(0, 2, 3, 1), *hidden.shape[2:])


# What computes a prediction: UNet, latents, timestep, the clip's context, tokens at a time. See `predict`.
Predict: TypeAlias = Callable[[I2VGenXLUNet, torch.Tensor, torch.Tensor, ClipContext, int], torch.Tensor]


class Parts(NamedTuple):
    """What a layer is made of, each for tensors of any size; `compiled` puts others in their place."""

    convolve: Callable[..., torch.Tensor] = convolve
    convolve_over_time: Callable[..., torch.Tensor] = convolve_over_time
    spatial_transformer: Callable[..., torch.Tensor] = spatial_transformer
    temporal_transformer: Callable[..., torch.Tensor] = temporal_transformer


PARTS = Parts()


@dataclass
class _Walk:
    """A clip on its way through the UNet at one step.

    `hidden` (R*F, C, h, w) is held here and in no caller's variable: what is used up is freed at once.
    """

    hidden: torch.Tensor
    time: torch.Tensor  # (1, T)
    keys_values: dict[Transformer2DModel, KeyValue]
    num_frames: int
    chunk_tokens: int
    operations: Operations
    parts: Parts

    def through(self, layer: Layer) -> None:
        parts, operations = self.parts, self.operations
        self.hidden = parts.convolve(layer.resnet, self.hidden, self.time, operations)
        self.hidden = parts.convolve_over_time(layer.temp_conv, self.hidden, self.num_frames, operations)
        if layer.attention is not None:
            context = self.keys_values[layer.attention]
            self.hidden = parts.spatial_transformer(
                layer.attention, self.hidden, context, self.num_frames, self.chunk_tokens, operations
            )
        if layer.temp_attention is not None:
            self.along_time(layer.temp_attention)

    def along_time(self, module: TransformerTemporalModel) -> None:
        self.hidden = self.parts.temporal_transformer(
            module, self.hidden, self.num_frames, self.chunk_tokens, self.operations
        )

    def join(self, skip: torch.Tensor) -> None:
        """Join channels; a skip of one row is every row's."""
        rows = len(self.hidden) // len(skip)
        self.hidden = torch.cat([self.hidden, skip.repeat(rows, 1, 1, 1) if rows > 1 else skip], dim=1)
