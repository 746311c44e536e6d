"""A clip between two pictures, by a model that knows only the first one.

In each step the clip is predicted twice: from the first picture, and from the last one with time running
backwards. The two are blended, each the more the nearer its picture is (time-reversal fusion: Feng et al.
2024, "Explorative Inbetweening of Time and Space", arXiv 2403.14611; without its re-noising). It costs twice
the evaluations of the network. What moves in one direction alone, as smoke or waves, comes out by chance.
"""

from __future__ import annotations

import torch


def blended(from_first: torch.Tensor, from_last: torch.Tensor, axis: int) -> torch.Tensor:
    """Return one prediction of a clip of two, whose frames are along `axis`; `from_last` runs backwards."""
    shape, count = [1] * from_first.ndim, from_first.shape[axis]
    shape[axis] = count
    shares = torch.linspace(0, 1, count, device=from_first.device, dtype=from_first.dtype).view(shape)
    return torch.lerp(from_first, from_last.flip(axis), shares)
