"""benchmarks.flicker: an error that stays is no flicker, one that comes and goes is."""

from __future__ import annotations

import numpy as np

from benchmarks.flicker import flicker


def test_only_errors_that_change_count() -> None:
    truth = np.random.default_rng(0).integers(20, 200, (4, 8, 8, 3)).astype(np.uint8)
    blinking = truth.copy()
    blinking[::2] += 6
    assert (flicker(truth, truth), flicker(truth + 10, truth), flicker(blinking, truth)) == (0, 0, 6)
