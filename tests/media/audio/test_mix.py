"""i2v.media.audio.mix: several sounds become one, of any rate, and quieter under speech."""

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
    found = mixed([quiet, Sound(np.zeros((8_000, 1), np.float32), 16_000)], None, 1.0)
    assert (found.samples.shape, found.sample_rate) == ((48_000, 2), 48_000)
    assert np.allclose(found.samples[2_000:40_000], quiet.samples[2_000:40_000], atol=1e-3)
    loud = make_sound(1, 48_000, 2)
    assert abs(mixed([loud, loud, loud], None, 1.0).samples).max() <= 10 ** (PEAK / 20) + 0.01


def test_what_is_below_speech_gets_quieter_and_comes_back() -> None:
    bed = Sound(make_sound(6, 48_000, 2).samples * np.float32(0.4), 48_000)
    times = np.arange(2 * 22_050) / 22_050
    speech = Sound((0.3 * np.sin(2 * np.pi * 3_000 * times)).astype(np.float32)[:, None], 22_050)
    found = mixed([bed], speech, 6.0).samples[:, 0]

    def at_440(start: float) -> float:
        """Return how strong the bed is in half a second: the speech is another tone."""
        part = found[round(start * 48_000) :][:24_000]
        return float(abs(np.fft.rfft(part)[220]))

    assert at_440(1.0) < at_440(5.0) / 2
    assert at_440(5.0) == pytest.approx(abs(np.fft.rfft(bed.samples[:24_000, 0])[220]), rel=0.05)
    assert len(found) == 6 * 48_000


def test_speech_alone_is_stereo_as_long_as_the_clip() -> None:
    found = mixed([], make_sound(1, 22_050), 2.0)
    assert (found.samples.shape, found.sample_rate) == ((96_000, 2), 48_000)
    assert not found.samples[60_000:].any()


def test_filters_that_ffmpeg_does_not_know_are_an_error() -> None:
    with pytest.raises(EncodeError) as caught:
        filtered([make_sound(0.1)], "[0:a]nosuchfilter")
    assert caught.value.code == "sound.filter_failed"
    assert "nosuchfilter" in caught.value.message
