"""i2v.engines.diffusion.float8: weights in eight bits within the stated error, and layers that compute so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from i2v.engines.diffusion.float8 import FLOAT8, Float8Linear, linear_weights, pack, take
from i2v.engines.diffusion.loras import AppliedLoras
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


def test_loras_stay_beside_a_packed_weight_whole_changes_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"fc": nn.Linear(16, 8, bias=False)})
    take(model["fc"], pack(model["fc"].weight.data))
    layer, states = model["fc"], torch.randn(3, 16, dtype=torch.bfloat16)
    assert isinstance(layer, Float8Linear)
    down, up, whole = torch.randn(2, 16), torch.randn(8, 2), torch.randn(8, 16)
    save_file({"unet.fc.lora_A.weight": down, "unet.fc.lora_B.weight": up}, tmp_path / "pair.safetensors")
    save_file({"unet.fc.diff": whole}, tmp_path / "whole.safetensors")
    pair, change = (LoraFile(tmp_path / f"{name}.safetensors", 0.5, "") for name in ("pair", "whole"))
    loras = AppliedLoras(beside=torch.bfloat16)
    for files, added in (((pair,), up @ down), ((change,), whole), ((pair, change), up @ down + whole)):
        loras.use(I2VGEN_XL, {"unet": model}, files)
        expected = states.float() @ (layer.plain(torch.float32) + 0.5 * added).T
        assert (model["fc"](states).float() - expected).abs().max() <= 0.02 * expected.abs().max()
        assert layer.weight.dtype == torch.int8
    loras.undo()
    assert model["fc"] is layer
