"""Muon's steps: what they are made of, and where they lead."""

from __future__ import annotations

import torch

from scripts.train_embedded.optimizers import Muon


def test_muon_steps_are_orthogonal_and_go_downhill() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(16, 48))
    target = torch.randn(16, 48)
    optimizer = Muon([weight], lr=0.1)
    (weight - target).pow(2).sum().backward()
    optimizer.step()
    values = torch.linalg.svdvals(weight.detach()) / 0.1
    assert values.min() > 0.5
    assert values.max() < 1.5
    assert (weight - target).norm() < target.norm()
