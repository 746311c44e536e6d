"""Muon's and Adam's steps: what they are made of, where they lead, and what a broken gradient does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.train_embedded.optimizers import ADAM_SHARE, Optimizer, orthogonal


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mid_block = nn.ModuleList([nn.Linear(48, 16), nn.Linear(48, 16), nn.Linear(16, 48)])
        self.conv_out = nn.Linear(8, 8)


def step(optimizer: Optimizer, rate: float, decay: float = 0.9) -> float:
    optimizer.collect()
    taken = optimizer.step(torch.tensor(rate), torch.tensor(decay)).item()
    optimizer.forget()
    return taken


@pytest.mark.parametrize("shape", [(3, 16, 48), (2, 48, 16), (1, 12, 12)])
def test_muons_updates_are_orthogonal(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.4
    assert values.max() < 1.4


def test_a_step_goes_downhill_as_far_as_its_rate_says() -> None:
    network = Network()
    optimizer = Optimizer(network)
    inner, outer = network.mid_block[0].weight, network.conv_out.weight
    before = inner.detach().clone(), outer.detach().clone()
    (inner.sum() + outer.square().sum()).backward()
    assert step(optimizer, 0.01) == 1
    moved = before[0] - inner.detach()
    # the gradient is of rank 1: one singular value near 1, times the rate
    assert torch.linalg.matrix_norm(moved, 2).item() == pytest.approx(0.01, rel=0.4)
    assert moved.sum() > 0
    # Adam's first step is the rate in each weight, against its sign
    wanted = 0.01 * ADAM_SHARE * before[1].sign()
    assert torch.allclose(before[1] - outer.detach(), wanted, atol=1e-5)


def test_weights_of_one_shape_are_updated_each_by_its_own_gradient() -> None:
    network, alone = Network(), Network()
    for each, chosen in ((network, (0, 1)), (alone, (0,))):
        optimizer = Optimizer(each)
        sum(each.mid_block[k].weight.pow(2).sum() for k in chosen).backward()
        scale = 1e-3  # well below the norm that gradients are scaled down to
        for k in chosen:
            each.mid_block[k].weight.grad.mul_(scale)
        step(optimizer, 0.01)
    difference = network.mid_block[0].weight - alone.mid_block[0].weight
    assert difference.abs().max() < 1e-3
    assert not torch.equal(network.mid_block[1].weight, alone.mid_block[1].weight)


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted() -> None:
    network = Network()
    optimizer = Optimizer(network)
    network.conv_out.weight.square().sum().backward()
    step(optimizer, 0.01)
    kept, average = optimizer.values.clone(), optimizer.average.clone()
    (network.conv_out.weight.sum() * float("nan")).backward()
    assert step(optimizer, 0.01) == 0
    assert torch.equal(optimizer.values, kept)
    assert torch.equal(optimizer.average, average)
    assert optimizer.skipped.item() == 1
    network.conv_out.weight.square().sum().backward()
    assert step(optimizer, 0.01) == 1
    assert torch.isfinite(optimizer.values).all()
    assert not torch.equal(optimizer.values, kept)


def test_the_network_can_compute_with_its_average_for_a_while() -> None:
    network = Network()
    optimizer = Optimizer(network)
    start = network.conv_out.weight.detach().clone()
    network.conv_out.weight.square().sum().backward()
    step(optimizer, 0.1, decay=1.0)
    moved = network.conv_out.weight.detach().clone()
    with optimizer.averaged_weights():
        assert torch.equal(network.conv_out.weight, start)
    assert torch.equal(network.conv_out.weight, moved)
    assert torch.equal(optimizer.averaged()["conv_out.weight"], start)
