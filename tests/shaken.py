"""Random weights in place of fresh ones, whose zeros and ones would hide mistakes."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def shaken(module: Module) -> Module:
    """Give every parameter of `module` random values, the same each time."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return module.eval().requires_grad_(False)
