"""benchmarks.camera_path: a clip on its path is exact, and one that stands still is as far off as it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import camera_path


def test_motions_are_compared_in_pixels() -> None:
    none, pan = np.zeros((2, 4)), np.array([[3.0, 4.0, 0, 0], [0, 0, 0, 0]])
    assert camera_path.distance(none, none, 24, 32) == pytest.approx(0, abs=1e-6)
    assert camera_path.distance(pan, none, 24, 32) == pytest.approx(2.5, abs=0.05)


def test_rendered_frames_are_on_their_path(photo: Image.Image) -> None:
    large = np.asarray(photo.resize((192, 128)))
    frames = np.stack([large[:96, shift : shift + 128] for shift in (0, 3, 6)])
    exact = camera_path.read(frames, frames, "x", "y", 0.1)
    assert exact.path_pixels == pytest.approx(0, abs=1e-3)
    still = camera_path.read(np.stack([frames[0]] * 3), frames, "x", "y", 0.1)
    assert still.path_pixels == pytest.approx(4.5, abs=0.5)
