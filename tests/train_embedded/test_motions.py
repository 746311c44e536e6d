"""Clips to train on: the content moves as the prompt says, from the photograph, without borders."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image

from scripts.train_embedded.motions import (
    CHINESE_PHRASES,
    HELD_OUT_PHRASES,
    MOTIONS,
    NUM_FRAMES,
    PHRASES,
    pyramid,
    render,
    sample_prompt,
)

POSITIONS = torch.arange(NUM_FRAMES) / (NUM_FRAMES - 1)


def blob(x: float, y: float) -> torch.Tensor:
    """A (3, 180, 180) photograph: a bright spot at (x, y) pixels from its centre."""
    rows, columns = torch.meshgrid(torch.arange(180) - 89.5, torch.arange(180) - 89.5, indexing="ij")
    spot = 255 * torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50)
    return spot.expand(3, -1, -1).to(torch.uint8)


def centre_of_light(frame: torch.Tensor) -> tuple[float, float]:
    light = frame.mean(0) + 1
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    return (light * columns).sum().item() / light.sum().item(), (
        light * rows
    ).sum().item() / light.sum().item()


# where a spot at the upper left goes: (right, down), as signs
@pytest.mark.parametrize(
    ("name", "right", "down"),
    [
        ("pan_left", 1, 0),
        ("pan_right", -1, 0),
        ("tilt_up", 0, 1),
        ("tilt_down", 0, -1),
        ("zoom_in", -1, -1),
        ("zoom_out", 1, 1),
        ("rotate_cw", 1, -1),
        ("rotate_ccw", -1, 1),
    ],
)
def test_the_content_moves_as_the_camera_says(name: str, right: int, down: int) -> None:
    clip = render(blob(-30, -30), MOTIONS[name], 128, 128, POSITIONS, random.Random(0))
    (x0, y0), (x1, y1) = centre_of_light(clip[0]), centre_of_light(clip[-1])
    for moved, sign in ((x1 - x0, right), (y1 - y0, down)):
        assert moved * sign > 1.5 if sign else abs(moved) < 0.5


def test_no_border_comes_into_view() -> None:
    white = torch.full((3, 200, 300), 255, dtype=torch.uint8)
    for motion in MOTIONS.values():
        clip = render(white, motion, 112, 144, POSITIONS, random.Random(1))
        assert clip.shape == (NUM_FRAMES, 3, 112, 144)
        assert clip.min() > 0.99


def test_opposites_are_opposite() -> None:
    for motion in MOTIONS.values():
        other = MOTIONS[motion.opposite]
        assert other.opposite == motion.name
        assert (motion.pan[0], motion.pan[1]) == (-other.pan[0], -other.pan[1])
        assert (motion.zoom, motion.turn) == (-other.zoom, -other.turn)


def test_every_motion_has_phrases_in_both_languages_and_none_twice() -> None:
    trained = [
        phrase for table in (PHRASES, CHINESE_PHRASES) for phrases in table.values() for phrase in phrases
    ]
    assert len(trained) == len(set(trained))
    assert PHRASES.keys() == CHINESE_PHRASES.keys() == HELD_OUT_PHRASES.keys() == MOTIONS.keys()
    assert not {phrase for phrases in HELD_OUT_PHRASES.values() for phrase in phrases} & set(trained)


def test_a_prompt_holds_a_phrase_of_its_motion() -> None:
    rng = random.Random(0)
    for name in MOTIONS:
        for _ in range(50):
            prompt = sample_prompt(name, rng)
            assert any(phrase in prompt for phrase in PHRASES[name] + CHINESE_PHRASES[name])


def test_a_pyramid_halves_the_area_from_level_to_level() -> None:
    levels = pyramid(Image.new("RGB", (900, 600)), smallest=176, largest=640)
    assert [level.shape[1] for level in levels] == [600, 424, 300, 212]
    assert all(level.dtype == torch.uint8 and level.shape[0] == 3 for level in levels)
