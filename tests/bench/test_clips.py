"""i2v.bench.clips: the picture that all clips are made of, and how two clips are compared."""

from __future__ import annotations

import numpy as np

from i2v.bench.clips import compare_frames, draw_picture


def test_frames_are_compared_without_overflow() -> None:
    dark, bright = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    assert compare_frames(dark, bright) == {"max_difference": 255, "mean_difference": 255.0}
    bright[1] = 0
    assert compare_frames(dark, bright)["mean_difference"] == 127.5


def test_the_picture_is_the_same_everywhere_and_has_detail() -> None:
    picture = np.asarray(draw_picture(96, 64))
    assert picture.shape == (64, 96, 3)
    assert np.array_equal(picture, np.asarray(draw_picture(96, 64)))
    assert picture.std() > 30
