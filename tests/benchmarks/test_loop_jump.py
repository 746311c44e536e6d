"""benchmarks.loop_jump: the jump is that from the last frame to the first one."""

from __future__ import annotations

import numpy as np

from benchmarks.loop_jump import Jump


def test_the_jump_is_told_from_neighbours() -> None:
    frames = np.array([0, 10, 30, 40], np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    assert Jump.of(frames, "x", "path") == Jump("x", "path", jump=40, median=10, most=20)
