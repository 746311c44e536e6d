"""benchmarks.in_between: the measure sees what is wrong, and leaves out what was kept."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.in_between import KEPT, NUM_FRAMES, measure, psnr


def test_what_is_right_has_no_error_and_what_is_wrong_has_one() -> None:
    truth = np.arange(NUM_FRAMES, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    assert measure(truth, lambda frames: truth)["worst"] > 100
    held = measure(truth, lambda frames: np.repeat(frames, KEPT, axis=0))
    assert held["worst"] == pytest.approx(psnr(truth[:1], truth[3:4]), abs=0.1)
    assert held["mean"] > held["worst"]
