"""benchmarks.last_image: the true frames begin and end with what the two pictures show."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.last_image import MOVES, psnr, true_frames


@pytest.mark.parametrize("prompt", MOVES)
def test_true_frames_move_evenly_from_the_first_part_to_the_last(prompt: str) -> None:
    ramp = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (100, 1))).convert("RGB")
    frames = true_frames(ramp, prompt, 5, (80, 40))
    assert frames.shape == (5, 40, 80, 3)
    left = [float(frame[20, 0, 0]) for frame in frames]
    first, last = (200 * part[0] for part in MOVES[prompt])
    assert left == pytest.approx(list(np.linspace(first, last, 5)), abs=2)


def test_psnr_is_in_decibels() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black + 255) == 0
    assert psnr(black, black) > 90
