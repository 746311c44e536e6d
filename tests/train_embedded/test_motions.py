"""Clips to train on: the content moves as the prompt says, from the photograph, without borders."""

from __future__ import annotations

import random
import re

import pytest
import torch
from PIL import Image

from scripts.train_embedded.motions import (
    CHINESE_PHRASES,
    EASY,
    HELD_OUT_PHRASES,
    LEAST,
    MOST,
    MOTIONS,
    NUM_FRAMES,
    PAN,
    PHRASES,
    SPEEDS,
    Clip,
    Take,
    prompt_for,
    pyramid,
    render,
    sample_clip,
    sample_prompt,
)
from scripts.train_embedded.phrases import (
    ADJECTIVES,
    ADVERBS,
    CHINESE_ADVERBS,
    CHINESE_EASING_CLAUSES,
    EASING_CLAUSES,
    HELD_OUT_STATIC_PHRASES,
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


def test_a_take_adds_its_motions_and_its_opposite_turns_them() -> None:
    take = Take(("pan_left", "zoom_out"), "slow", "ease_in")
    assert take.targets == (0.5, 0.0, -0.5, 0.0, -1.0)
    assert take.opposite.shares == (-0.5, 0.0, 0.5, 0.0)
    assert Take(()).targets == (0.0,) * 5
    assert Take(()).opposite == Take(())


def test_twice_the_fps_is_half_the_motion_a_frame() -> None:
    slow, fast = (Clip(Take(("pan_left",)), 8, fps, "", "") for fps in (8, 16))
    assert slow.motion(128, 128).pan == (PAN, 0)
    assert fast.motion(128, 128).pan == (PAN / 2, 0)
    long = Clip(Take(("pan_left",)), 15, 16, "", "")
    assert long.motion(128, 128).pan[0] == pytest.approx(PAN), "twice as many steps of half the size"
    assert slow.motion(256, 256).pan == (2 * PAN, 0)


def test_easing_starts_or_ends_slowly() -> None:
    ease_in, linear, ease_out = (
        Clip(Take(("pan_left",), easing=easing), 9, 8, "", "").positions
        for easing in ("ease_in", "linear", "ease_out")
    )
    for positions in (ease_in, linear, ease_out):
        assert (positions[0], positions[-1]) == (0, 1)
        assert (positions.diff() > 0).all()
    assert (ease_in[4], linear[4], ease_out[4]) == (0.25, 0.5, 0.75)


def test_what_is_drawn_can_be_shown_and_seen() -> None:
    rng = random.Random(0)
    for num_frames in (8, 16):
        clips = [sample_clip(rng, num_frames) for _ in range(400)]
        assert all(LEAST <= clip.total <= MOST for clip in clips if clip.take.motions)
        assert {len(clip.take.motions) for clip in clips} == {0, 1, 2}
        assert {clip.take.speed for clip in clips} == set(SPEEDS)
        pairs = [clip.take.shares for clip in clips if len(clip.take.motions) == 2]
        assert all(sum(share != 0 for share in shares) == 2 for shares in pairs), "two axes, not one twice"
    easy = [sample_clip(rng, 8, EASY.only(("pan_left", "pan_right"))) for _ in range(50)]
    assert {(clip.take.motions, clip.total) for clip in easy} == {(("pan_left",), 1.0), (("pan_right",), 1.0)}
    with pytest.raises(ValueError, match="no clip of 64 frames"):
        sample_clip(rng, 64, EASY)


def words(table: dict[str, tuple[tuple[str, ...], tuple[str, ...]]], held_out: bool) -> set[str]:
    return {word for parts in table.values() for word in parts[held_out]}


def test_a_prompt_names_the_speed_and_the_easing_that_are_rendered() -> None:
    rng = random.Random(0)
    slow, fast = (
        [w for table in (ADVERBS, ADJECTIVES, CHINESE_ADVERBS) for part in table[s] for w in part]
        for s in ("slow", "fast")
    )
    for speed, named, other in (("slow", slow, fast), ("fast", fast, slow), ("normal", [], slow + fast)):
        for unseen in (False, True):
            for name in MOTIONS:
                for _ in range(8):
                    prompt = prompt_for(Take((name,), speed), rng, unseen).removesuffix(".")
                    said = re.sub(r"[,.，。]", " ", prompt)
                    holds = [w for w in other if re.search(rf"(?<![a-z]){w}(?![a-z])", said)]
                    assert not holds or speed == "slow", (prompt, holds)
                    assert not named or any(word in prompt for word in named), prompt


def test_nothing_held_out_is_ever_trained_on() -> None:
    rng = random.Random(0)
    prompts = [sample_clip(rng).prompt for _ in range(3000)]
    held_out = {phrase for phrases in HELD_OUT_PHRASES.values() for phrase in phrases}
    held_out |= set(HELD_OUT_STATIC_PHRASES) | words(ADVERBS, True) | words(CHINESE_ADVERBS, True)
    held_out |= words(EASING_CLAUSES, True) | words(CHINESE_EASING_CLAUSES, True)
    assert not [(phrase, p) for phrase in held_out for p in prompts if phrase in p]
