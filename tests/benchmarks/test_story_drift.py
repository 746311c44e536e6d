"""benchmarks.story_drift: a frame like the first has not drifted; each kind of drift is seen as such."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.story_drift import generation_of, read


def test_each_kind_of_drift_is_seen(photo: Image.Image) -> None:
    first = np.asarray(photo)
    same = read(first, first, "x", "alone", False, 1)
    assert (same.colour, same.contrast, same.sharpness) == (0, 1, 1)
    assert same.structure == pytest.approx(1)
    dark = np.clip(first.astype(int) - 10, 0, 255).astype(np.uint8)
    assert read(dark, first, "x", "alone", False, 1).colour == pytest.approx(10, abs=1)
    blurred = np.asarray(photo.filter(ImageFilter.GaussianBlur(3)))
    soft = read(blurred, first, "x", "alone", False, 1)
    assert soft.sharpness < 0.7
    assert soft.structure < 0.99


@pytest.mark.parametrize("way", ["path", "alone"])
def test_a_story_has_the_segments_that_are_asked_for(way: str) -> None:
    made = generation_of(way, True, 20, (96, 64))
    assert len(made.segments) == 20
    assert made.correct_drift is (way == "alone")
