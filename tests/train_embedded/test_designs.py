"""Larger UNets take over what a smaller one computes."""

from __future__ import annotations

import pytest
import torch
from diffusers import I2VGenXLUNet

from scripts.train_embedded.designs import DESIGNS, Design, design_of, graft

BELOW = (False, True)
SMALL = Design((16, 32), BELOW)


def answer(unet: I2VGenXLUNet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    times, fps = torch.tensor([900, 300]), torch.tensor([8, 16])
    clips, pictures = noise(2, 4, 3, 8, 8), noise(2, 4, 3, 8, 8)
    with torch.no_grad():
        return unet(clips, times, fps, pictures, noise(2, 1, 64), noise(2, 77, 64)).sample


@pytest.fixture(scope="module")
def small() -> I2VGenXLUNet:
    """A network in which every layer adds something, as in one that was trained."""
    torch.manual_seed(0)
    unet = SMALL.new_unet().eval()
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return unet


@pytest.mark.parametrize(
    ("design", "error"),
    [
        (SMALL, 1e-5),
        (Design((16, 32), BELOW, layers_per_block=2), 1e-5),
        (Design((16, 32), (True, True)), 1e-5),
        (Design((48, 32), BELOW), 0.3),  # one group norm, over old and new channels, groups them otherwise
    ],
)
def test_a_graft_computes_what_the_smaller_network_does(
    small: I2VGenXLUNet, design: Design, error: float
) -> None:
    torch.manual_seed(2)
    large = design.new_unet().eval()
    expected = answer(small)
    assert (answer(large) - expected).norm() > expected.norm() / 2
    graft(small, large)
    assert (answer(large) - expected).norm() <= error * expected.norm()


def test_the_copies_of_a_channel_do_not_stay_alike(small: I2VGenXLUNet) -> None:
    large = Design((48, 32), BELOW).new_unet()
    graft(small, large)
    answer_of = large(
        torch.randn(1, 4, 2, 8, 8), torch.tensor([900]), torch.tensor([8]), torch.randn(1, 4, 2, 8, 8),
        torch.randn(1, 1, 64), torch.randn(1, 77, 64),
    ).sample  # fmt: skip
    answer_of.square().mean().backward()
    gradient = large.conv_in.weight.grad
    assert (gradient[0] - gradient[1]).abs().max() > 1e-3 * gradient.abs().max()


def test_a_smaller_design_cannot_hold_a_larger_one(small: I2VGenXLUNet) -> None:
    with pytest.raises(ValueError, match="has not all layers"):
        graft(Design((16, 32), BELOW, layers_per_block=2).new_unet(), small)
    with pytest.raises(ValueError, match="only the first level"):
        graft(small, Design((16, 48), BELOW).new_unet())


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_is_known_by_its_network(name: str) -> None:
    with torch.device("meta"):
        assert design_of(DESIGNS[name].new_unet()) == DESIGNS[name]
