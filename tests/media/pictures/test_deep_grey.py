"""i2v.media.pictures.deep_grey: more than 8 bits a pixel become 8 without being clipped."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from i2v.media.pictures.deep_grey import split_deep_grey


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (np.uint16, [0, 257, 65535], [0, 1, 255]),
        (np.int32, [0, 100, 255], [0, 100, 255]),  # white is the smallest usual one that holds all
        (np.int32, [0, 32768, 65535], [0, 128, 255]),
        (np.int32, [-100, 0, 100], [0, 128, 255]),  # below zero: what is there is stretched
        (np.float32, [0, 0.5, 1], [0, 128, 255]),
        (np.float32, [0, np.nan, 200], [0, 0, 200]),
    ],
)
def test_greys_are_scaled(kind: type, values: list[float], expected: list[int]) -> None:
    grey, alpha = split_deep_grey(Image.fromarray(np.array([values], kind)))
    assert (grey.mode, alpha) == ("L", None)
    assert np.asarray(grey).tolist() == [expected]


def test_one_grey_may_be_transparent() -> None:
    source = Image.fromarray(np.array([[0, 300, 65535]], np.uint16))
    source.info["transparency"] = 300
    grey, alpha = split_deep_grey(source)
    assert alpha is not None
    assert np.asarray(alpha).tolist() == [[255, 0, 255]]
    assert np.asarray(grey).tolist() == [[0, 1, 255]]
