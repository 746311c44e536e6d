"""i2v.media.interpolation: which frame is shown when, what moves in between, and the guard against cuts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.schema import InterpolationName
from i2v.media.interpolation import CutGuard, Interpolator, blend, guessed_seconds, motion, new_frames

SIZE = (96, 72)


def scene(seed: int) -> Image.Image:
    """Return a soft picture, larger than a frame."""
    dots = np.random.default_rng(seed).integers(0, 255, (18, 22, 3), dtype=np.uint8)
    return Image.fromarray(dots).resize((220, 180), Image.Resampling.BICUBIC)


def view(picture: Image.Image, x: float, y: float) -> NDArray[np.uint8]:
    moved = picture.transform(SIZE, Image.Transform.AFFINE, (1, 0, x, 0, 1, y), Image.Resampling.BICUBIC)
    return np.asarray(moved)


def run(
    frames: NDArray[np.uint8], fps: int, output_fps: int, method: InterpolationName = "blend", chunk: int = 2
) -> NDArray[np.uint8]:
    interpolator, made = Interpolator(method, fps, output_fps), []
    for start in range(0, len(frames), chunk):
        made += list(interpolator.add(frames[start : start + chunk]))
    return np.concatenate([*made, *interpolator.end()])


def levels(*values: int) -> NDArray[np.uint8]:
    return np.stack([np.full((8, 8, 3), value, np.uint8) for value in values])


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize(("count", "fps", "output_fps"), [(4, 8, 24), (5, 8, 30), (7, 24, 60), (1, 8, 60)])
def test_the_clip_keeps_its_length_and_its_own_frames(
    generation: Generation, count: int, fps: int, output_fps: int, chunk: int
) -> None:
    values = list(range(0, 10 * count, 10))
    made = run(levels(*values), fps, output_fps, chunk=chunk)[:, 0, 0, 0]
    asked = replace(generation, num_frames=count, fps=fps, output_fps=output_fps, interpolation="blend")
    assert len(made) == asked.video_frames == np.ceil(count * output_fps / fps)
    assert new_frames(asked) == asked.video_frames - count
    expected = np.interp(np.arange(len(made)) * fps / output_fps, range(count), values)
    np.testing.assert_array_equal(made, np.rint(expected))


def test_a_loop_leads_on_to_its_first_frame() -> None:
    frames = levels(0, 15, 30, 15)
    interpolator = Interpolator("blend", 8, 24, is_loop=True)
    made = np.concatenate([*interpolator.add(frames), *interpolator.end()])[:, 0, 0, 0]
    assert list(made) == [0, 5, 10, 15, 20, 25, 30, 25, 20, 15, 10, 5]
    alone = Interpolator("blend", 8, 24, is_loop=True)
    assert len([*alone.add(frames[:1]), *alone.end()]) == 3


def test_a_plain_clip_has_the_frame_rate_that_was_generated(generation: Generation) -> None:
    assert (generation.video_fps, generation.video_frames) == (generation.fps, generation.num_frames)
    assert (new_frames(generation), guessed_seconds(generation)) == (0, 0)


def test_what_moves_is_at_its_place_in_between() -> None:
    picture = scene(1)
    first, second = view(picture, 20, 20), view(picture, 32, 14)
    for time, made, faded in zip(
        (0.25, 0.5), motion(first, second, [0.25, 0.5]), blend(first, second, [0.25, 0.5]), strict=True
    ):
        truth = view(picture, 20 + 12 * time, 20 - 6 * time).astype(float)
        error, plain = (np.sqrt(np.square(frame - truth).mean()) for frame in (made, faded))
        assert error < plain / 3


def test_a_still_picture_stays_as_it_is() -> None:
    frame = view(scene(1), 20, 20)
    made = run(np.stack([frame, frame]), 8, 24, "motion")
    assert np.abs(made.astype(int) - frame).max() <= 1


def test_two_scenes_are_never_mixed() -> None:
    before = [view(scene(1), 20 + 2 * step, 20) for step in range(3)]
    after = [view(scene(2), 20 + 2 * step, 20) for step in range(3)]
    made = run(np.stack([*before, *after]), 8, 32)
    np.testing.assert_array_equal(made[8:12], np.stack([before[2], before[2], after[0], after[0]]))
    guard = CutGuard()
    pairs = zip([*before, *after[:2]], [*before[1:], *after], strict=True)
    assert [guard.is_cut(*pair) for pair in pairs] == [False, False, True, False, False]


def test_fast_motion_that_goes_on_is_no_cut() -> None:
    """Between all its frames there is much difference; only the first pair may be taken for a cut."""
    guard, dots = CutGuard(), scene(3).resize((900, 180))
    frames = [view(dots, 60.0 * step, 20) for step in range(5)]
    assert [guard.is_cut(*pair) for pair in pairwise(frames)][1:] == [False] * 3
