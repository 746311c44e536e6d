"""i2v.engines.diffusion.resume: a state comes back to the bit; when one is kept, and which one is not.

That clips go on from it is in `tests/engines/test_contract.py`, a worker that is killed in `test_jobs.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2v.engines.diffusion.resume import SHARE, StateKeeper, from_bytes, to_bytes
from i2v.engines.diffusion.state import State
from i2v.media.latents import KeptLatents

CPU = torch.device("cpu")
START = State(0, torch.zeros(1, 2, 3, 4, 5))


def state(step: int = 3) -> State:
    """Return one whose tensors share memory, and lie in it in other orders."""
    noise = torch.randn(1, 3, 4, 5, 2, generator=torch.Generator().manual_seed(7))
    latents = noise.permute(0, 4, 1, 2, 3)
    return State(step, latents, (latents, latents.half(), latents.contiguous()))


class Clock:
    """Each look at it takes `pace` seconds."""

    def __init__(self, pace: float = 0.0) -> None:
        self.now, self.pace = 100.0, pace

    def __call__(self) -> float:
        self.now += self.pace
        return self.now


class Waits:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_state_comes_back_to_the_bit_and_as_it_lay_in_memory() -> None:
    before = state()
    content = to_bytes(before)
    assert content is not None
    after = from_bytes(content, CPU)
    assert after.step == 3
    for old, new in zip((before.latents, *before.history), (after.latents, *after.history), strict=True):
        assert torch.equal(old, new)
        assert (old.dtype, old.stride()[1:]) == (new.dtype, new.stride()[1:])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_not_kept(value: float) -> None:
    assert to_bytes(State(1, torch.zeros(1, 1), (torch.full((1, 1), value),))) is None


def test_it_is_kept_when_the_seconds_are_over_and_takes_a_small_share_of_the_time(tmp_path: Path) -> None:
    clock, waits = Clock(), Waits()
    kept = KeptLatents(tmp_path, "job", 30)
    keeper = StateKeeper(kept, clock)
    assert keeper.begin(START) is None
    for seconds, expected in ((29, 0), (1, 1), (29, 1), (1, 2)):
        clock.now += seconds
        keeper.offer(state(), waits)
        assert waits.count == expected
    clock.now += 30
    clock.pace = 3.0
    keeper.offer(state(), waits)
    clock.pace = 0.0
    clock.now += 3 / SHARE - 1
    keeper.offer(state(), waits)
    assert waits.count == 3
    clock.now += 2
    keeper.offer(state(), waits)
    assert waits.count == 4


@pytest.mark.parametrize(
    "content", [b"", b"no safetensors", to_bytes(state(0)), to_bytes(State(3, torch.zeros(1, 2)))],
    ids=["empty", "damaged", "no step more", "another shape"],
)  # fmt: skip
def test_what_does_not_fit_is_not_used_and_said_in_one_line(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptLatents(tmp_path, "job", 30)
    kept.write(content)
    assert StateKeeper(kept).begin(START) is None
    assert len(caplog.records) == 1


def test_a_device_without_room_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptLatents(tmp_path, "job", 30)
    kept.write(to_bytes(state()) or b"")

    def full(content: bytes, device: torch.device) -> State:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("i2v.engines.diffusion.resume.from_bytes", full)
    with pytest.raises(torch.OutOfMemoryError):
        StateKeeper(kept).begin(START)


def test_without_a_place_nothing_is_kept() -> None:
    keeper, waits = StateKeeper(None), Waits()
    assert keeper.begin(START) is None
    keeper.offer(state(), waits)
    assert waits.count == 0
