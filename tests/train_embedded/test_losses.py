"""The UNet's loss: the right clip costs nothing, and frame 0 counts as asked."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from scripts.train_embedded.clips import Batch
from scripts.train_embedded.losses import drawn_drift, loss_of
from scripts.train_embedded.network import SCHEDULER

ALPHAS = DDIMScheduler(**SCHEDULER).alphas_cumprod


def two_clips() -> Batch:
    x0, conditions = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 4, 3, 8, 8)
    return Batch(x0, conditions, torch.randn(2, 3, 32, 32), torch.tensor([8, 8]), ())


def loss_where(batch: Batch, answer: torch.Tensor, t: int, **more: object) -> torch.Tensor:
    """Return the loss of a network that takes `answer` for the clips, whatever it is shown."""

    def network(
        noisy: torch.Tensor, t: torch.Tensor, *rest: object, return_dict: bool
    ) -> tuple[torch.Tensor]:
        alpha = ALPHAS[t].view(-1, 1, 1, 1, 1)
        return ((alpha.sqrt() * noisy - answer) / (1 - alpha).sqrt(),)

    times, noise = torch.full((2,), t), torch.randn_like(batch.x0)
    states = torch.zeros(2, 77, 64)
    return loss_of(network, batch, states, states[:, :1], times, noise, ALPHAS, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("t", [5, 300, 999])
def test_the_right_clip_costs_nothing_however_far_its_frames_had_drifted(t: int) -> None:
    batch = two_clips()
    drift = drawn_drift(batch.x0, 0.5, 0.5)
    assert loss_where(batch, batch.x0, t, drift=drift).max() < 1e-6
    assert loss_where(batch, batch.x0 + drift, t, drift=drift).min() > 1e-3, "who believes the noisy frames"


@pytest.mark.parametrize(("first", "later"), [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.0, 0.0)])
def test_frame_0_and_the_others_drift_as_far_as_is_asked_of_each(first: float, later: float) -> None:
    torch.manual_seed(0)
    x0 = torch.randn(2, 4, 3, 8, 10)
    drift = drawn_drift(x0, first, later)
    assert drift.shape == x0.shape
    assert (drift[:, :, 0].std() > 0.02) == (first > 0)
    assert (drift[:, :, 1:].std() > 0.02) == (later > 0)


def test_frame_0_counts_as_often_as_is_asked() -> None:
    batch = two_clips()
    for frame, share in ((0, 4 / 6), (1, 1 / 6)):
        wrong = batch.x0.clone()
        wrong[:, :, frame] += 1
        whole = loss_where(batch, wrong, 500, first_weight=1.0)
        assert loss_where(batch, wrong, 500, first_weight=4.0) == pytest.approx(3 * share * whole, rel=1e-3)
