"""Parts are on the device for their phase, and at home between."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2v.core.schema import Offload
from i2v.engines.diffusion.placement import PlacedParts, homes

CPU, OTHER = torch.device("cpu"), torch.device("meta")


class Parts(PlacedParts):
    def __init__(self, offload: Offload) -> None:
        self.unet, self.vae, self.encoder = (nn.Linear(1, 1, device=OTHER) for _ in range(3))
        self.device, (self.home, self.encoders_home) = OTHER, homes(OTHER, offload)
        self.is_settled = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.encoder,)


@pytest.mark.parametrize(
    ("offload", "expected"),
    [("none", (OTHER, OTHER)), ("encoders", (OTHER, CPU)), ("model", (CPU, CPU))],
)
def test_what_is_offloaded_waits_in_cpu_memory(
    offload: Offload, expected: tuple[torch.device, torch.device]
) -> None:
    assert homes(OTHER, offload) == expected


def test_where_nothing_is_offloaded_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts("none")
    monkeypatch.setattr(nn.Module, "to", lambda *_: pytest.fail("moved"))
    parts.settle("none")


def test_parts_go_home_whatever_ends_their_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, moves = Parts("encoders"), list[tuple[nn.Module, torch.device]]()
    monkeypatch.setattr(nn.Module, "to", lambda part, device: moves.append((part, device)))
    with pytest.raises(MemoryError), parts.on_device(parts.encoder, parts.vae):
        raise MemoryError
    assert moves == [
        (parts.encoder, OTHER), (parts.vae, OTHER), (parts.encoder, CPU), (parts.vae, OTHER),
    ]  # fmt: skip


def test_a_move_that_was_cut_off_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, moved = Parts("none"), list[nn.Module]()

    def move(part: nn.Module, device: torch.device) -> None:
        if part is parts.encoder and len(moved) < 3:
            moved.append(part)
            raise MemoryError
        moved.append(part)

    monkeypatch.setattr(nn.Module, "to", move)
    with pytest.raises(MemoryError):
        parts.settle("model")
    parts.settle("model")
    assert moved[3:] == [parts.unet, parts.vae, parts.encoder]
