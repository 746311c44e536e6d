"""i2v.media.audio.mix: several sounds become one, of any rate and number of channels."""

from __future__ import annotations

import numpy as np
import pytest

from i2v.core.errors import EncodeError
from i2v.media.audio.filters import filtered
from i2v.media.audio.loudness import PEAK
from i2v.media.audio.mix import mixed
from i2v.media.sound import Sound
from tests.clips import make_sound


def test_each_is_as_loud_as_before_and_peaks_are_limited() -> None:
    quiet = Sound(make_sound(1, 48_000, 2).samples * np.float32(0.2), 48_000)
    found = mixed([quiet, Sound(np.zeros((8_000, 1), np.float32), 16_000)], 1.0)
    assert (found.samples.shape, found.sample_rate) == ((48_000, 2), 48_000)
    assert np.allclose(found.samples[2_000:40_000], quiet.samples[2_000:40_000], atol=1e-3)
    loud = make_sound(1, 48_000, 2)
    assert abs(mixed([loud, loud, loud], 1.0).samples).max() <= 10 ** (PEAK / 20) + 0.01


def test_filters_that_ffmpeg_does_not_know_are_an_error() -> None:
    with pytest.raises(EncodeError) as caught:
        filtered([make_sound(0.1)], "[0:a]nosuchfilter")
    assert caught.value.code == "sound.filter_failed"
    assert "nosuchfilter" in caught.value.message
