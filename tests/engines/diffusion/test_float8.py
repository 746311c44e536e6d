"""i2v.engines.diffusion.float8: weights in eight bits within the stated error, and layers that compute so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from i2v.engines.diffusion.float8 import FLOAT8, Float8Linear, linear_weights, pack, take
from i2v.engines.diffusion.loras import MergedLoras
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights.loras import LoraFile


def unpacked(weight: torch.Tensor) -> torch.Tensor:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    take(layer, pack(weight))
    assert isinstance(layer, Float8Linear)
    return layer.plain(torch.float32)


def test_each_number_is_within_the_stated_error() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 256) * torch.logspace(-6, 6, 64)[:, None]
    weight[3] = 0
    weight[4, ::2] *= 1e-5
    found, scale = unpacked(weight), pack(weight).scale
    bound = torch.maximum(weight.abs() / 16, 2**-10 * scale)
    assert ((found - weight).abs() <= bound * (1 + 1e-6)).all()
    assert found.abs().amax(1) == pytest.approx(weight.abs().amax(1), rel=1e-6)
    assert (found[3] == 0).all()


def test_what_the_type_has_is_kept_to_the_bit() -> None:
    bits = torch.arange(256, dtype=torch.uint8).view(FLOAT8).float()
    weight = bits[bits.isfinite()].expand(2, -1).clone()
    assert torch.equal(unpacked(weight), weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_computes_in_the_type_of_what_it_is_given(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 8)
    states = torch.randn(2, 5, 32).to(dtype)
    weight = unpacked(layer.weight.data)
    take(layer, pack(layer.weight.data))
    found = layer(states)
    assert found.dtype == dtype
    expected = nn.functional.linear(states.float(), weight, layer.bias)
    assert (found.float() - expected).abs().max() <= (1e-5 if dtype == torch.float32 else 0.02)


def test_only_plain_linear_layers_of_the_blocks_are_named() -> None:
    class Other(nn.Linear):
        pass

    block = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), Other(2, 2), nn.Sequential(nn.Linear(2, 2)))
    model = nn.ModuleDict({"blocks": nn.ModuleList([block]), "head": nn.Linear(2, 2)})
    assert linear_weights(model, "blocks") == ["blocks.0.0.weight", "blocks.0.3.0.weight"]


def test_a_lora_is_merged_into_the_weight_that_it_means_and_taken_out_to_the_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"fc": nn.Linear(16, 8, bias=False)})
    take(model["fc"], pack(model["fc"].weight.data))
    layer = model["fc"]
    assert isinstance(layer, Float8Linear)
    before, plain = layer.weight.clone(), layer.plain(torch.float32)
    down, up = torch.randn(2, 16), torch.randn(8, 2)
    save_file({"unet.fc.lora_A.weight": down, "unet.fc.lora_B.weight": up}, tmp_path / "lora.safetensors")
    merged = MergedLoras()
    merged.use(I2VGEN_XL, {"unet": model}, [LoraFile(tmp_path / "lora.safetensors", 1.0, "")])
    expected = plain + up @ down
    found, scale = layer.plain(torch.float32), layer.scale
    assert ((found - expected).abs() <= torch.maximum(expected.abs() / 16, 2**-10 * scale) * 1.001).all()
    merged.undo()
    assert torch.equal(layer.weight, before)
    assert torch.equal(layer.plain(torch.float32), plain)
