"""The judge of the embedded model: it must see what moves, and must not be flattered."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from scripts.train_embedded.evaluate import Row, asked_of, measure, to_frames, wilson
from scripts.train_embedded.motions import MOTIONS, NUM_FRAMES, Motion, render

POSITIONS = torch.arange(NUM_FRAMES) / (NUM_FRAMES - 1)


@pytest.fixture(scope="module")
def texture() -> torch.Tensor:
    """A (3, 190, 190) uint8 picture with detail at every scale."""
    generator = torch.Generator().manual_seed(0)
    sizes = (6, 12, 24, 48, 96)
    layers = [
        torch.nn.functional.interpolate(
            torch.randn(1, 3, n, n, generator=generator), (190, 190), mode="bicubic"
        )
        for n in sizes
    ]
    sum_of_layers = sum(layer / k for k, layer in enumerate(layers, start=1))[0]
    return ((sum_of_layers / 5 + 0.5).clamp(0, 1) * 255).to(torch.uint8)


def clip(texture: torch.Tensor, motion: Motion) -> np.ndarray:
    return to_frames(render(texture, motion, 128, 128, POSITIONS, random.Random(0)))


@pytest.mark.parametrize("name", MOTIONS)
def test_registration_finds_the_motion_that_was_rendered(texture: torch.Tensor, name: str) -> None:
    asked = asked_of(MOTIONS[name])
    assert measure(clip(texture, MOTIONS[name])) == pytest.approx(asked, abs=0.06)


def test_registration_stands_blur_and_noise(texture: torch.Tensor) -> None:
    frames = clip(texture, MOTIONS["zoom_out"]).astype(float)
    blurred = (frames + np.roll(frames, 1, 1) + np.roll(frames, 1, 2) + np.roll(frames, -1, 1)) / 4
    noisy = blurred + np.random.default_rng(0).normal(0, 8, frames.shape)
    found = measure(noisy.clip(0, 255).astype(np.uint8))
    assert found == pytest.approx(asked_of(MOTIONS["zoom_out"]), abs=0.15)


def row(frames: np.ndarray, asked: Motion) -> Row:
    shares = measure(frames)
    amount, stray = shares @ asked_of(asked), np.abs(shares * (asked_of(asked) == 0)).max()
    return Row("photo", asked.name, "prompt", float(amount), float(stray), 0.0, 0.0, 0.0, 0.0)


def test_a_static_clip_is_not_right(texture: torch.Tensor) -> None:
    still = np.repeat(clip(texture, MOTIONS["pan_left"])[:1], NUM_FRAMES, axis=0)
    assert not any(row(still, asked).right for asked in MOTIONS.values())


def test_a_clip_is_right_for_its_own_motion_only(texture: torch.Tensor) -> None:
    for shown in ("pan_left", "zoom_in", "rotate_ccw"):
        frames = clip(texture, MOTIONS[shown])
        assert [asked.name for asked in MOTIONS.values() if row(frames, asked).right] == [shown]


def test_less_than_half_of_the_motion_is_not_right(texture: torch.Tensor) -> None:
    third = to_frames(render(texture, MOTIONS["tilt_up"], 128, 128, POSITIONS / 3, random.Random(0)))
    judged = row(third, MOTIONS["tilt_up"])
    assert judged.amount == pytest.approx(1 / 3, abs=0.05)
    assert not judged.right


def test_an_interval_is_honest_about_few_clips() -> None:
    assert wilson(40, 40) == pytest.approx((0.912, 1.0), abs=0.001)
    assert wilson(5, 10) == pytest.approx((0.237, 0.763), abs=0.001)
