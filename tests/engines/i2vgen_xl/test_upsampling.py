"""Phase convolutions against doubling and convolving."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.upsampling import Upsample2D

from i2v.engines.i2vgen_xl.upsampling import PhaseUpsample, Upsample, use_phase_convolutions

# relative to the largest number; sums of rounded weights are rounded again
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.fixture
def stock() -> Upsample2D:
    torch.manual_seed(0)
    return Upsample2D(6, use_conv=True, out_channels=5).requires_grad_(False)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("output_size", [None, (8, 14), (7, 14), (8, 13), (7, 13)], ids=str)
def test_it_is_the_convolution_of_the_doubled_picture(
    stock: Upsample2D, output_size: tuple[int, int] | None, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    small = torch.randn(3, 6, 4, 7).to(dtype).contiguous(memory_format=layout)
    stock.to(dtype)
    expected = stock.float()(small.float(), output_size)
    got = PhaseUpsample(stock.to(dtype).conv)(small, output_size)
    assert got.dtype == dtype
    if layout is torch.channels_last:
        assert got.is_contiguous(memory_format=layout), "what follows would copy it"
    assert (got - expected).abs().max() <= TOLERANCE[dtype] * expected.abs().max()


def test_it_takes_16_products_for_36(stock: Upsample2D) -> None:
    assert PhaseUpsample(stock.conv).weight.shape == (6, 5, 4, 4)


def test_it_takes_the_place_of_what_it_replaces_and_of_nothing_else() -> None:
    plain = Upsample2D(4)  # doubles without convolving
    model = torch.nn.Sequential(
        torch.nn.ModuleList([Upsample2D(4, use_conv=True), Upsample(4)]), plain, torch.nn.Conv2d(4, 4, 3)
    )
    use_phase_convolutions(model)
    assert [type(module).__name__ for module in (*model[0], model[1], model[2])] == [
        "PhaseUpsample",
        "PhaseUpsample",
        "Upsample2D",
        "Conv2d",
    ]
    assert len(list(model[0].parameters())) == 4, "the 3x3 weights are gone"


@pytest.mark.parametrize("output_size", [(8, 14), (7, 13)], ids=str)
def test_the_plain_way_is_diffusers(output_size: tuple[int, int]) -> None:
    stock = Upsample2D(6, use_conv=True)
    ours = Upsample(6)
    ours.load_state_dict(stock.state_dict())
    small = torch.randn(3, 6, 4, 7)
    assert torch.allclose(ours(small, output_size), stock(small, output_size), atol=1e-6)
