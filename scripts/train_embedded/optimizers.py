"""How weights follow their gradients: Muon for the UNet's inner matrices, AdamW's rule for the rest.

All weights of a network are views of one tensor, and so are their gradients and averages: a step is some
hundred kernels instead of many thousands, nothing in it waits for the device, and a CUDA graph can hold it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

ADAM_SHARE = 0.15  # Adam's learning rate over Muon's
MOMENTUM = 0.95
BETAS = (0.9, 0.99)
LARGEST_NORM = 1.0  # of all gradients together; larger ones are scaled down to it
_INNER = ("down_blocks", "mid_block", "up_blocks", "transformer_in")


@dataclass(frozen=True)
class _Matrices:
    """Weights of one shape, `count` matrices of (rows, columns), side by side in the flat tensors."""

    start: int
    count: int
    rows: int
    columns: int

    def of(self, flat: torch.Tensor) -> torch.Tensor:
        size = self.count * self.rows * self.columns
        return flat[self.start : self.start + size].view(self.count, self.rows, self.columns)


class Optimizer:
    """Weights of `network`, and how they are updated.

    Attributes:
        values, gradients, average: (N,) each; `network`'s parameters are views of `values`, which `average`
            follows; `gradients` are what `collect` found.
        skipped: (), how many steps were left out because a gradient was not finite.
    """

    def __init__(self, network: nn.Module) -> None:
        self._names, self._groups, parameters = _ordered(network)
        self._shapes = [parameter.shape for parameter in parameters]
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradients = torch.zeros_like(self.values)
        self.average = self.values.clone()
        for parameter, value in zip(parameters, self._views(self.values), strict=True):
            parameter.data = value
        self._parameters = parameters
        self._momentum = torch.zeros_like(self.values)  # Muon's, and Adam's first moment
        self._start_of_adam = sum(group.of(self.values).numel() for group in self._groups)
        self._squares = torch.zeros_like(self.values[self._start_of_adam :])
        self._count = torch.zeros((), device=self.values.device)
        self.skipped = torch.zeros((), device=self.values.device)

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        sizes = [shape.numel() for shape in self._shapes]
        return [part.view(shape) for part, shape in zip(flat.split(sizes), self._shapes, strict=True)]

    def averaged(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights by their names, as views."""
        return dict(zip(self._names, self._views(self.average), strict=True))

    def forget(self) -> None:
        """Leave the parameters without gradients: the next backward pass gives new ones, and adds nothing."""
        for parameter in self._parameters:
            parameter.grad = None

    def collect(self) -> None:
        """Take the parameters' gradients over into `gradients`."""
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        torch.cat([gradient.flatten() for gradient in found], out=self.gradients)

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Let the network compute with its averaged weights."""
        kept = self.values.clone()
        self.values.copy_(self.average)
        try:
            yield
        finally:
            self.values.copy_(kept)

    @torch.no_grad()
    def step(self, rate: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
        """Follow the gradients at Muon's learning rate, and move the average along.

        Args:
            rate, decay: (), on the device.
        Returns:
            () 1 where all gradients were finite, else 0: weights and moments are then as before.
        """
        norm = self.gradients.norm()
        is_finite = torch.isfinite(norm)
        scale = torch.where(is_finite, (LARGEST_NORM / (norm + 1e-6)).clamp(max=1.0), 0.0)
        torch.nan_to_num(self.gradients, 0.0, 0.0, 0.0, out=self.gradients).mul_(scale)
        taken = is_finite.to(self.values.dtype)
        self.skipped += 1 - taken
        self._count += taken
        self._follow_muon(rate * taken, taken)
        self._follow_adam(rate * ADAM_SHARE * taken, taken)
        self.average.lerp_(self.values, (1 - decay) * taken)
        return taken

    def _follow_muon(self, rate: torch.Tensor, taken: torch.Tensor) -> None:
        gradients, momentum = (flat[: self._start_of_adam] for flat in (self.gradients, self._momentum))
        momentum.lerp_(gradients, (1 - MOMENTUM) * taken)
        updates = gradients.lerp(momentum, MOMENTUM)  # Nesterov's
        for group in self._groups:
            scale = max(1.0, group.rows / group.columns) ** 0.5
            group.of(self.values).sub_(orthogonal(group.of(updates)) * (rate * scale))

    def _follow_adam(self, rate: torch.Tensor, taken: torch.Tensor) -> None:
        first, second = BETAS
        gradients, momentum = (flat[self._start_of_adam :] for flat in (self.gradients, self._momentum))
        momentum.lerp_(gradients, (1 - first) * taken)
        self._squares.lerp_(gradients.square(), (1 - second) * taken)
        count = self._count.clamp(min=1)
        mean = momentum / (1 - first**count)
        size = (self._squares / (1 - second**count)).sqrt_().add_(1e-8)
        self.values[self._start_of_adam :].sub_(mean.div_(size).mul_(rate))


def _ordered(network: nn.Module) -> tuple[list[str], list[_Matrices], list[nn.Parameter]]:
    """Return parameters, matrices of one shape side by side and first, with their names and groups."""
    by_shape: dict[tuple[int, int], list[tuple[str, nn.Parameter]]] = {}
    others: list[tuple[str, nn.Parameter]] = []
    for name, parameter in network.named_parameters():
        if name.startswith(_INNER) and parameter.ndim >= 2:
            rows, columns = parameter.flatten(1).shape
            by_shape.setdefault((rows, columns), []).append((name, parameter))
        else:
            others.append((name, parameter))
    groups, found, start = [], [], 0
    for (rows, columns), members in by_shape.items():
        groups.append(_Matrices(start, len(members), rows, columns))
        found += members
        start += len(members) * rows * columns
    found += others
    return [name for name, _ in found], groups, [parameter for _, parameter in found]


def orthogonal(updates: torch.Tensor) -> torch.Tensor:
    """Return (N, R, C) matrices with all singular values near 1 (Newton-Schulz; Muon, Jordan et al. 2024)."""
    is_tall = updates.shape[1] > updates.shape[2]
    x = updates.mT if is_tall else updates
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)).bfloat16()
    for _ in range(5):
        gram = x @ x.mT
        gram = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, gram, x, beta=3.4445)
    return (x.mT if is_tall else x).float()
