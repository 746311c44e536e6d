"""Parts are on the device for their phase, and at home between."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2v.core.memory_plan import Offload
from i2v.engines.diffusion.placement import PlacedParts, copied, homes

CPU, OTHER = torch.device("cpu"), torch.device("meta")


class Parts(PlacedParts):
    def __init__(self, offload: Offload) -> None:
        self.unet, self.vae, self.encoder = (nn.Linear(1, 1, device=OTHER) for _ in range(3))
        self.device, (self.home, self.encoders_home) = OTHER, homes(OTHER, offload)
        self.is_settled = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.encoder,)

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        return (self.unet,)


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


def test_parts_are_copied_for_their_phase_and_what_is_at_home_stays_there() -> None:
    parts = Parts("model")
    for part in (parts.unet, parts.vae, parts.encoder):
        part.to_empty(device=CPU)
    at_home = [*parts.vae.parameters()]

    def run_out() -> None:
        with parts.on_device(parts.vae):
            assert {tensor.device for tensor in parts.vae.parameters()} == {OTHER}
            assert {tensor.device for tensor in parts.unet.parameters()} == {CPU}
            raise MemoryError

    with pytest.raises(MemoryError):
        run_out()
    assert all(now is before for now, before in zip(parts.vae.parameters(), at_home, strict=True))


def test_a_part_at_home_on_the_device_is_not_copied() -> None:
    parts = Parts("encoders")
    before = [*parts.vae.parameters()]
    parts.encoder.to_empty(device=CPU)
    with parts.on_device(parts.encoder, parts.vae):
        assert all(now is one for now, one in zip(parts.vae.parameters(), before, strict=True))
        assert parts.encoder.weight.device == OTHER
    assert parts.encoder.weight.device == CPU


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)
        self.other.weight = self.one.weight
        self.register_buffer("count", torch.ones(3))
        self.register_buffer("none", None)


def test_tied_weights_and_buffers_are_copied_once_and_a_changed_copy_is_forgotten() -> None:
    part = Tied().requires_grad_(False)
    with copied(part, OTHER):
        assert part.one.weight is part.other.weight
        assert {tensor.device for tensor in (*part.parameters(), *part.buffers())} == {OTHER}
        assert not any(parameter.requires_grad for parameter in part.parameters())
        part.half()
    assert part.one.weight is part.other.weight
    assert (part.one.weight.dtype, part.count.tolist()) == (torch.float32, [1, 1, 1])


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(1, 1)
        self.blocks = nn.ModuleList(nn.Linear(1, 1) for _ in range(3))
        self.there: list[list[bool]] = []

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            states = block(self.first(states))
        return states


def test_blocks_are_copied_one_by_one_and_come_back_whatever_happens() -> None:
    part = Stack().requires_grad_(False)
    before = [*part.parameters()]

    def note(*_: object) -> None:
        part.there.append([parameter.device == OTHER for parameter in part.parameters()][::2])
        if len(part.there) == 5:
            raise MemoryError

    def run() -> None:
        with copied(part, OTHER, part.blocks):
            assert part.blocks[0].weight.device == CPU
            for block in part.blocks:
                block.register_forward_pre_hook(note)
            for _ in range(2):
                part(torch.empty(1, device=OTHER))

    with pytest.raises(MemoryError):
        run()
    one_by_one = [[True, index == 0, index == 1, index == 2] for index in range(3)]
    assert part.there == [*one_by_one, *one_by_one[:2]]
    assert all(now is at_home for now, at_home in zip(part.parameters(), before, strict=True))
    assert part.blocks[0](torch.ones(1)).device == CPU, "no hook is left"


def test_a_copy_that_runs_out_of_memory_leaves_all_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    part, calls = Tied(), list[torch.Tensor]()
    to = torch.Tensor.to

    def run_out(tensor: torch.Tensor, *where: torch.device) -> torch.Tensor:
        calls.append(tensor)
        if len(calls) == 3:
            raise torch.OutOfMemoryError
        return to(tensor, *where)

    monkeypatch.setattr(torch.Tensor, "to", run_out)
    with pytest.raises(torch.OutOfMemoryError), copied(part, OTHER):
        pass
    assert {tensor.device for tensor in part.parameters()} == {CPU}


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
