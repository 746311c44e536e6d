"""i2v.media.sound: samples at a video's length, and what cannot be encoded."""

from __future__ import annotations

import numpy as np
import pytest

from i2v.media.sound import Sound
from tests.clips import make_sound


@pytest.mark.parametrize(("seconds", "fitted"), [(2.0, 1.0), (0.25, 1.0), (1.0, 1.0), (0.0, 0.5)])
def test_it_is_cut_or_followed_by_silence(seconds: float, fitted: float) -> None:
    sound = make_sound(seconds, channels=2)
    found = sound.fitted(fitted)
    assert (found.samples.shape, found.sample_rate) == ((round(fitted * 16_000), 2), 16_000)
    kept = min(len(sound.samples), len(found.samples))
    assert np.array_equal(found.samples[:kept], sound.samples[:kept])
    assert not found.samples[kept:].any()
    assert found.samples.dtype == np.float32


def test_what_is_too_loud_is_clipped() -> None:
    loud = Sound(np.float32([[-3.0], [0.5], [2.0]]), 8_000)
    assert loud.fitted(3 / 8_000).samples.tolist() == [[-1.0], [0.5], [1.0]]


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (np.zeros((4, 1), np.float64), 8_000, "float32"),
        (np.zeros(4, np.float32), 8_000, "float32"),
        (np.zeros((4, 3), np.float32), 8_000, "channels"),
        (np.zeros((4, 0), np.float32), 8_000, "channels"),
        (np.zeros((4, 1), np.float32), 7_999, "samples a second"),
        (np.full((4, 1), np.nan, np.float32), 8_000, "finite"),
    ],
)
def test_what_cannot_be_encoded_is_named(samples: np.ndarray, rate: int, words: str) -> None:
    assert words in Sound(samples, rate).problem()
    assert make_sound(1).problem() == ""
