"""i2v.service.fitted: the picture has the clip's size and its part."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from i2v.core.crop import Crop
from i2v.core.schema import Fit
from i2v.service.fitted import fitted_picture
from tests.job_crew import generation


@pytest.mark.parametrize(
    ("fit", "crop", "left", "right"),
    [("crop", None, 255, 0), ("pad", None, 0, 0), ("crop", Crop(0, 0, 0.25, 1), 255, 255)],
)
def test_it_is_cut_and_padded_as_the_clip_is(fit: Fit, crop: Crop | None, left: int, right: int) -> None:
    """The left half of the picture is white: 200 x 50 pixels, for a clip of 64 x 64."""
    pixels = np.zeros((50, 200, 3), np.uint8)
    pixels[:, :100] = 255
    made = fitted_picture(Image.fromarray(pixels), replace(generation(), fit=fit, crop=crop))
    shown = np.asarray(Image.open(io.BytesIO(made)).convert("L"), int)
    assert shown.shape == (64, 64)
    assert abs(shown[2, 2] - left) < 6
    assert abs(shown[2, -3] - right) < 6
