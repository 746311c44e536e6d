"""The judge of the embedded model: it must see what moves, and must not be flattered."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.train_embedded.evaluate import CAPTION, Rows, asked_of, cases, to_frames
from scripts.train_embedded.motions import MOTIONS, Clip, Take, render
from scripts.train_embedded.photos import manifest
from scripts.train_embedded.registration import aligned, flicker, measure, shares_of, sharpness, track
from scripts.train_embedded.scores import Row, bootstrap, judge, summary, true_path, wilson

SMALL = (80, 80)


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


def clip_for(*motions: str, frames: int = 4, fps: int = 4, **take: str) -> Clip:
    return Clip(Take(motions, **take), frames, fps, "prompt", "opposite")


def film(texture: torch.Tensor, clip: Clip, view: tuple[int, int] = SMALL) -> np.ndarray:
    motion = clip.motion(*view)
    return to_frames(render(texture, motion, *view, clip.positions, random.Random(0)))


def mark(frames: np.ndarray, asked: Clip, truth: np.ndarray | None = None) -> Row:
    truth = frames if truth is None else truth
    return judge(frames, truth, asked, "seen/0", "seen", "photo", truth[0])


@pytest.mark.parametrize("name", MOTIONS)
def test_registration_finds_the_motion_that_was_rendered(texture: torch.Tensor, name: str) -> None:
    clip = clip_for(name)
    assert measure(film(texture, clip)) == pytest.approx(clip.amount * asked_of(MOTIONS[name]), abs=0.06)


@pytest.mark.parametrize(
    ("clip", "view"),
    [
        (clip_for("pan_left", "zoom_out", frames=4, fps=6), SMALL),
        (clip_for("tilt_down", "rotate_ccw", speed="fast", frames=4, fps=6), (72, 128)),
        (clip_for("zoom_in", speed="slow", frames=16, fps=16), (128, 72)),
        (clip_for("pan_right", easing="ease_in", frames=8, fps=8), (128, 72)),
        (clip_for("rotate_cw", easing="ease_out", frames=8, fps=16), (72, 128)),
        (clip_for(), SMALL),
    ],
)
def test_a_rendered_clip_is_what_its_take_says_frame_by_frame(
    texture: torch.Tensor, clip: Clip, view: tuple[int, int]
) -> None:
    found = shares_of(track(film(texture, clip, view)), *view)
    asked = clip.positions.numpy()[:, None] * clip.amount * np.array(clip.take.shares)
    assert found == pytest.approx(asked, abs=0.08)


def test_registration_stands_blur_and_noise(texture: torch.Tensor) -> None:
    clip = clip_for("zoom_out")
    frames = film(texture, clip).astype(float)
    blurred = (frames + np.roll(frames, 1, 1) + np.roll(frames, 1, 2) + np.roll(frames, -1, 1)) / 4
    noisy = blurred + np.random.default_rng(0).normal(0, 8, frames.shape)
    found = measure(noisy.clip(0, 255).astype(np.uint8))
    assert found == pytest.approx(clip.amount * asked_of(MOTIONS["zoom_out"]), abs=0.15)


def test_a_static_clip_is_right_only_where_stillness_was_asked(texture: torch.Tensor) -> None:
    still = np.repeat(film(texture, clip_for("pan_left"))[:1], 4, axis=0)
    assert not any(mark(still, clip_for(name)).right for name in ("pan_left", "zoom_in", "rotate_cw"))
    assert mark(still, clip_for()).right
    assert not mark(film(texture, clip_for("pan_left")), clip_for()).right


@pytest.mark.slow
def test_a_clip_is_right_for_its_own_motion_only(texture: torch.Tensor) -> None:
    for shown, others in (("pan_left", ("pan_right", "tilt_up")), ("zoom_in", ("zoom_out", "rotate_ccw"))):
        frames = film(texture, clip_for(shown))
        assert [asked for asked in (shown, *others) if mark(frames, clip_for(asked)).right] == [shown]


def test_one_of_two_asked_motions_is_not_right(texture: torch.Tensor) -> None:
    both = clip_for("pan_left", "zoom_in", fps=6)
    assert mark(film(texture, both), both).right
    assert not mark(film(texture, clip_for("pan_left", fps=6)), both).right


@pytest.mark.slow
def test_a_clip_of_noise_is_never_right(texture: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, *SMALL, 3), dtype=np.uint8)
    then_noise = np.concatenate([film(texture, clip_for("pan_left"))[:1], noise[1:]])
    for frames in (noise, then_noise):
        assert not any(mark(frames, clip_for(name)).right for name in ("pan_left", "zoom_in"))
        assert not mark(frames, clip_for()).right


def test_less_than_half_of_the_motion_is_not_right(texture: torch.Tensor) -> None:
    asked = clip_for("tilt_up")
    third = film(texture, replace(asked, fps=12))
    judged = mark(third, asked)
    assert judged.amount == pytest.approx(1 / 3, abs=0.06)
    assert not judged.right


def test_a_static_clip_gains_nothing_and_the_true_warp_much(texture: torch.Tensor) -> None:
    asked = clip_for("pan_left")
    truth = film(texture, asked)
    assert mark(np.repeat(truth[:1], 4, axis=0), asked, truth).gain == pytest.approx(0, abs=1e-6)
    assert mark(truth, asked, truth).gain > 20


def test_a_last_frame_is_compared_with_the_first_one_moved_as_found(texture: torch.Tensor) -> None:
    frames = film(texture, clip_for("zoom_in"))
    path = track(frames)
    kept = aligned(frames, path)
    assert kept > 30
    assert sharpness(frames, path) == pytest.approx(1, abs=0.15)
    soft = frames.astype(float)
    for axis in (0, 1):
        soft[-1] = (np.roll(soft[-1], 2, axis) + 2 * soft[-1] + np.roll(soft[-1], -2, axis)) / 4
    blurred = soft.round().astype(np.uint8)
    assert aligned(blurred, path) < kept - 2
    assert sharpness(blurred, path) < 0.95 * sharpness(frames, path)
    grain = np.random.default_rng(0).normal(0, 20, frames.shape[1:])
    grainy = np.concatenate([frames[:-1], (frames[-1:] + grain).round().clip(0, 255).astype(np.uint8)])
    assert sharpness(grainy, path) < sharpness(frames, path) + 0.1
    assert aligned(grainy, path) < kept - 2


def test_flicker_is_what_moving_does_not_explain(texture: torch.Tensor) -> None:
    clip = clip_for("pan_left", "rotate_cw")
    steady = film(texture, clip)
    flickering = steady.astype(int)
    flickering[1::2] -= 20
    path = true_path(clip, *SMALL)
    assert flicker(steady, path) < 4
    assert flicker(flickering.clip(0, 255).astype(np.uint8), path) > 15


def test_an_interval_is_honest_about_few_clips() -> None:
    assert wilson(40, 40) == pytest.approx((0.912, 1.0), abs=0.001)
    assert wilson(5, 10) == pytest.approx((0.237, 0.763), abs=0.001)


def row(n: int, photo: str, group: str = "seen", amount: float = 1.0) -> Row:
    return Row(
        key=f"{group}/{n}", group=group, photo=photo, motion="pan_left", speed="normal", fps=8, num_frames=8,
        prompt="p", amount=amount, stray=0.0, moved=amount, asked=1.0, explained=0.9, ease=0.0,
        ease_asked=0.0, later=20.0, later_static=18.0, first=22.0, reconstruction=24.0, flicker=3.0,
        flicker_true=2.0, aligned=22.0, sharpness=0.8,
    )  # fmt: skip


def test_clips_of_one_photograph_count_as_one() -> None:
    alike = [row(n, "one", amount=float(n % 2)) for n in range(40)]
    apart = [row(n, str(n), amount=float(n % 2)) for n in range(40)]
    share = [bootstrap(rows, lambda r: float(np.mean([x.right for x in r]))) for rows in (alike, apart)]
    assert share[0] == (0.5, 0.5), "one photograph, drawn again and again"
    assert share[1][1] - share[1][0] > 0.2


def test_seen_and_unseen_are_told_apart_and_effects_are_of_pairs() -> None:
    rows = [row(n, str(n)) for n in range(4)] + [row(n, str(n), "unseen", 0.2) for n in range(4)]
    rows += [row(n, str(n), "guided", 1.3) for n in range(2)]
    found = json.loads(json.dumps(summary(rows)))
    assert (found["seen"]["right"], found["unseen"]["right"]) == (4, 0)
    assert found["guidance_effect"]["pairs"] == 2
    assert found["guidance_effect"]["amount"]["mean"] == pytest.approx(0.3)


def test_what_does_not_hear_fps_or_slowly_is_seen_in_its_strength() -> None:
    deaf = [
        replace(row(0, "a", "fps"), fps=4, asked=2.0),
        replace(row(1, "b", "speed"), speed="slow", asked=0.5),
    ]
    assert all(one.right for one in deaf)
    assert summary([row(0, "a"), *deaf])["strength"] == {
        "8 frames at 4 fps, normal": {"asked": 2.0, "moved": 1.0, "clips": 1},
        "8 frames at 8 fps, normal": {"asked": 1.0, "moved": 1.0, "clips": 1},
        "8 frames at 8 fps, slow": {"asked": 0.5, "moved": 1.0, "clips": 1},
    }


def test_held_out_prompts_with_a_trained_phrase_inside_are_told_apart() -> None:
    rows = [
        replace(row(0, "a", "unseen"), prompt="摄影机渐渐向左平移"),
        replace(row(1, "b", "unseen", 0.2), prompt="the shot drifts leftwards"),
    ]
    found = summary(rows)
    assert found["unseen"]["right"] == 1
    apart = found["unseen_without_a_trained_phrase"]
    assert (apart["clips"], apart["right"]) == (1, 0)


def test_every_other_group_asks_for_pans_tilts_zooms_and_turns_alike() -> None:
    planned = list(cases(46, 16, 1.0, 0))
    for group in ("speed", "fps", "eased", "aspect", "frames16"):
        reported = [case for case in planned if case.group == group]
        assert {case.clip.take.motions[0] for case in reported} == set(MOTIONS), group
        settings = Counter((c.clip.take.speed, c.clip.take.easing, c.clip.fps, c.view) for c in reported)
        assert list(settings.values()) == [8, 8], group


def test_a_full_run_has_200_pairs_on_40_photographs_that_no_training_package_holds() -> None:
    planned = list(cases(46, 16, 1.0, 0))
    reported = [case for case in planned if case.group in ("seen", "unseen")]
    assert len(reported) >= 200
    assert len({case.photo for case in reported}) >= 40
    assert not {photo.package for photo in manifest("train")} & {case.photo.package for case in reported}
    assert len({case.key for case in planned}) == len(planned)
    assert set(Counter(case.clip.take.motions for case in reported).values()) <= set(range(26, 31))
    guided, negative = ([case for case in planned if case.group == g] for g in ("guided", "negative"))
    assert [case.clip for case in guided] == [case.clip for case in negative]
    seen = {case.number: case for case in planned if case.group == "seen"}
    assert all(seen[case.number].clip == case.clip for case in guided), "pairs differ in guidance alone"


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    first = Rows(tmp_path, {"weights": "a"})
    first.add(row(0, "x"), frames)
    with first.file.open("a", encoding="utf-8") as file:
        file.write('{"key": "seen/1", "gro')
    second = Rows(tmp_path, {"weights": "a"})
    assert second.rows == [row(0, "x")]
    second.add(row(1, "y"), frames)
    assert [r.key for r in Rows(tmp_path, {"weights": "a"}).rows] == ["seen/0", "seen/1"]
    second.add(row(2, "z", "fps"), frames)
    second.write_sheets()
    with Image.open(tmp_path / "median.png") as sheet:
        assert sheet.size == (16, 2 * (8 + CAPTION)), "two plain clips of two frames"
    with pytest.raises(ValueError, match="another run"):
        Rows(tmp_path, {"weights": "b"})
