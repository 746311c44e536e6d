"""What a configuration builds: layers, channels, and what is refused. Names and shapes: `test_unet`."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.downsampling import Downsample2D

from i2v.engines.i2vgen_xl.blocks import Downsample, UNetConfig, down_block, mid_block, up_block
from tests.shaken import shaken

SMALL = UNetConfig(
    down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
    up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    block_out_channels=(8, 16),
    norm_num_groups=4,
    attention_head_dim=4,
)


def test_a_file_says_what_differs_from_the_published_model() -> None:
    settings = {
        "block_out_channels": [8, 16, 16, 16],
        "num_attention_heads": 3,
        "_class_name": "I2VGenXLUNet",
    }
    config = UNetConfig.of(settings)
    assert config == UNetConfig(block_out_channels=(8, 16, 16, 16))
    assert config.time_channels == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"up_block_types": ["UpBlock2D"] * 4}, "unknown block types: UpBlock2D"),
        ({"block_out_channels": [8, 16]}, "'block_out_channels': 2"),
    ],
    ids=["types", "lengths"],
)
def test_what_cannot_be_built_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig.of(settings)


def test_layers_and_channels() -> None:
    down, last, middle, up = down_block(SMALL, 0), down_block(SMALL, 1), mid_block(SMALL), up_block(SMALL, 1)
    for block, widths, transformers in (
        (down, [(8, 8), (8, 8)], 2),
        (last, [(8, 16), (16, 16)], 0),
        (middle, [(16, 16), (16, 16)], 1),
        (up, [(16 + 8, 8), (8 + 8, 8), (8 + 8, 8)], 2 + 1),
    ):
        layers = list(block.layers())
        made = [(layer.resnet.conv1.in_channels, layer.resnet.conv1.out_channels) for layer in layers]
        assert made == widths
        having = [layer.attention is not None and layer.temp_attention is not None for layer in layers]
        assert having == [True] * transformers + [False] * (len(widths) - transformers)
    assert [len(block.downsamplers) for block in (down, last)] == [1, 0]
    assert [len(up_block(SMALL, number).upsamplers) for number in (0, 1)] == [1, 0]


@pytest.mark.parametrize("sides", [(4, 6), (5, 7)], ids=str)
def test_halving_is_diffusers(sides: tuple[int, int]) -> None:
    stock, ours = shaken(Downsample2D(4, use_conv=True, name="op")), Downsample(4)
    ours.load_state_dict(stock.state_dict())
    picture = torch.randn(2, 4, *sides)
    assert torch.equal(ours(picture), stock(picture))
