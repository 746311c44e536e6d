"""The UNet's loss: the right clip costs nothing, and frame 0 counts as asked."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from scripts.train_embedded.losses import drawn_drift, drawn_times, loss_of
from scripts.train_embedded.network import SCHEDULER
from scripts.train_embedded.rendering import Batch

ALPHAS = DDIMScheduler(**SCHEDULER).alphas_cumprod


def two_clips() -> Batch:
    x0, conditions = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 4, 3, 8, 8)
    states = torch.zeros(2, 77, 64)
    return Batch(x0, conditions, states, states, states[:, :1], torch.tensor([8, 8]), ())


def loss_where(batch: Batch, answer: torch.Tensor, t: int, **more: object) -> torch.Tensor:
    """Return the loss of a network that takes `answer` for the clips, whatever it is shown."""

    def network(
        noisy: torch.Tensor, t: torch.Tensor, *rest: object, return_dict: bool
    ) -> tuple[torch.Tensor]:
        alpha = ALPHAS[t].view(-1, 1, 1, 1, 1)
        return ((alpha.sqrt() * noisy - answer) / (1 - alpha).sqrt(),)

    times, noise = torch.full((2,), t), torch.randn_like(batch.x0)
    return loss_of(network, batch, times, noise, ALPHAS, **more)  # type: ignore[arg-type]


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


def test_low_noise_counts_as_much_as_its_power_of_sigma_says() -> None:
    batch = two_clips()
    sigma = (1 - ALPHAS[100]).sqrt()
    alike, less = (loss_where(batch, batch.x0 + 1, 100, sigma_power=power) for power in (0.0, 1.0))
    assert torch.allclose(alike, (1 / sigma**2).expand(2), rtol=1e-3)
    assert torch.allclose(less, sigma * alike, rtol=1e-3)


def test_timesteps_lie_in_the_bands_as_often_as_is_asked() -> None:
    torch.manual_seed(0)
    times = drawn_times(4000, (0.5, 0.2, 0.3), torch.device("cpu"))
    assert times.min() >= 0
    assert times.max() <= 999
    assert (times < 400).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (times >= 900).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert times[times < 400].float().mean().item() == pytest.approx(200, abs=10)
    assert times[times >= 900].float().mean().item() == pytest.approx(950, abs=3)
    only_high = drawn_times(64, (0.0, 0.0, 1.0), torch.device("cpu"))
    assert only_high.min() >= 900


def test_even_one_clip_at_a_time_meets_all_noise() -> None:
    torch.manual_seed(0)
    times = torch.cat([drawn_times(1, (0.35, 0.25, 0.4), torch.device("cpu")) for _ in range(400)])
    assert (times < 400).float().mean().item() == pytest.approx(0.35, abs=0.08)
    assert (times >= 900).float().mean().item() == pytest.approx(0.4, abs=0.08)
