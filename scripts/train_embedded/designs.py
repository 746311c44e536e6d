"""The shapes that the embedded UNet may have, and how a larger one takes over what a smaller one has learned.

All of them are what stock diffusers loads: `I2VGenXLUNet` with other arguments. Its `image_latents` enter by
convolutions that are written for four channels, so the latents keep four. Nothing is trained here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from diffusers import I2VGenXLUNet

from scripts.train_embedded.text import WIDTH

_UNEVEN = (
    0.3  # how far the copies of a channel differ in what they are listened to: alike, they would stay alike
)


@dataclass(frozen=True)
class Design:
    """A UNet's arguments.

    Attributes:
        block_out_channels: of the levels, from full resolution down.
        attention: whether each of these levels has (spatial and temporal) attention.
        layers_per_block: of every level.
    """

    block_out_channels: tuple[int, ...]
    attention: tuple[bool, ...]
    layers_per_block: int = 1

    def new_unet(self) -> I2VGenXLUNet:
        """Return one with random weights."""
        return I2VGenXLUNet(
            sample_size=32,
            block_out_channels=self.block_out_channels,
            down_block_types=tuple(
                "CrossAttnDownBlock3D" if each else "DownBlock3D" for each in self.attention
            ),
            up_block_types=tuple(
                "CrossAttnUpBlock3D" if each else "UpBlock3D" for each in reversed(self.attention)
            ),
            layers_per_block=self.layers_per_block,
            norm_num_groups=8,
            cross_attention_dim=WIDTH,
            attention_head_dim=8,
            num_attention_heads=8,
        )


_BELOW = (False, True, True, True)
DESIGNS = {
    # Four levels: at 4 x 4 positions every one feels the border, so a zoom or a turn knows where it is.
    "shipped": Design((32, 64, 128, 128), _BELOW),
    "wide": Design((96, 64, 128, 128), _BELOW),
    "deep": Design((64, 64, 128, 128), _BELOW, layers_per_block=2),
    "attentive": Design((32, 64, 128, 128), (True, True, True, True)),
}


def design_of(unet: I2VGenXLUNet) -> Design:
    config = unet.config
    attention = tuple(name.startswith("CrossAttn") for name in config.down_block_types)
    return Design(tuple(config.block_out_channels), attention, config.layers_per_block)


@torch.no_grad()
def graft(small: I2VGenXLUNet, large: I2VGenXLUNet) -> None:
    """Give `large` the weights of `small`, so that it computes (nearly) the same and can learn more.

    A channel becomes several alike (Chen et al. 2016, Net2Net, arXiv 1511.05641), which those that read them
    add up by uneven shares; what is new altogether, a layer or an attention, adds nothing yet. That is exact
    but for one group norm of a widened level, over its channels and those from below, which groups them
    otherwise.
    """
    old, new = design_of(small), design_of(large)
    if old.layers_per_block > new.layers_per_block or any(
        has and not can for has, can in zip(old.attention, new.attention, strict=True)
    ):
        raise ValueError(f"{new} has not all layers of {old}")
    first, *below = old.block_out_channels
    if below != list(new.block_out_channels[1:]) or new.block_out_channels[0] % first:
        raise ValueError(
            f"{old} does not become {new}: only the first level may be widened, by a whole factor"
        )
    source = small.state_dict()
    target = large.state_dict()
    for name, weight in target.items():
        origin = _origin(name, old, new)
        if origin in source:
            weight.copy_(_widened(name, source[origin], weight.shape, old, new))
        elif re.search(r"(proj_out|conv2|conv4\.\d)\.(weight|bias)$", name):
            weight.zero_()
        elif name.endswith("conv_shortcut.weight"):  # passes what comes from before, drops what skips
            weight.zero_()
            weight[:, : len(weight), 0, 0] = torch.eye(len(weight))
        elif name.endswith("conv_shortcut.bias"):
            weight.zero_()


def _origin(name: str, old: Design, new: Design) -> str:
    """Return the name that a weight has in the smaller network; of a layer that it lacks, one that none has.

    A level's old layers stay first on the way down. On the way up the old layers keep their skips: the first
    stays first, the last stays last.
    """
    found = re.match(r"(down|up)_blocks\.(\d)\.(resnets|temp_convs|attentions|temp_attentions)\.(\d)\.", name)
    if not found:
        return name
    way, _, _, number = found.groups()
    layer, added = int(number), new.layers_per_block - old.layers_per_block
    if way == "down":
        kept = layer if layer < old.layers_per_block else None
    else:
        kept = layer if layer < old.layers_per_block else layer - added
        kept = kept if layer < old.layers_per_block or kept >= old.layers_per_block else None
    if kept is None:
        return ""
    start, end = found.span(4)
    return name[:start] + str(kept) + name[end:]


def _widened(name: str, weight: torch.Tensor, shape: torch.Size, old: Design, new: Design) -> torch.Tensor:
    """Return `weight` in the larger `shape`: outputs are repeated, inputs shared out."""
    if name.startswith(("time_embedding.linear_1.weight", "fps_embedding.0.weight")):
        return _frequencies(weight, shape)
    out = weight.repeat_interleave(shape[0] // weight.shape[0], 0) if shape[0] != weight.shape[0] else weight
    if weight.ndim == 1:
        return _repeated(weight, shape[0], 0, old, new)
    places = _places(weight.shape[1], shape[1], old, new)
    copies = torch.bincount(places, minlength=weight.shape[1])[places].float()
    wide = out[:, places] / copies.view(1, -1, *[1] * (weight.ndim - 2))
    return wide + _unevenness(wide, places, weight.shape[1])


def _repeated(weight: torch.Tensor, length: int, dim: int, old: Design, new: Design) -> torch.Tensor:
    return weight.index_select(dim, _places(weight.shape[dim], length, old, new))


def _places(before: int, after: int, old: Design, new: Design) -> torch.Tensor:
    """Return which of `before` channels each of `after` is: all several times, or only those that skip."""
    if after % before == 0:
        return torch.arange(before).repeat_interleave(after // before)
    first, wide = old.block_out_channels[0], new.block_out_channels[0]
    coming = before - first  # from below, as many as before
    assert coming + wide == after
    skipping = torch.arange(first).repeat_interleave(wide // first)
    return torch.cat([torch.arange(coming), coming + skipping])


def _unevenness(wide: torch.Tensor, places: torch.Tensor, before: int) -> torch.Tensor:
    """Return differences that cancel over the copies of each channel."""
    noise = _UNEVEN * wide * torch.randn_like(wide)
    sums = torch.zeros(len(wide), before, *wide.shape[2:]).index_add_(1, places, noise)
    count = torch.bincount(places, minlength=before)[places].view(1, -1, *[1] * (wide.ndim - 2))
    return noise - sums[:, places] / count


def _frequencies(weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Place the weights of sinusoids: with m times as many, every m-th has the frequency it had."""
    times = shape[1] // weight.shape[1]
    wide = torch.zeros(weight.shape[0], shape[1])
    wide[:, ::times] = weight
    return wide.repeat_interleave(shape[0] // weight.shape[0], 0)
