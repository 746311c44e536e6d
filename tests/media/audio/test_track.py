"""i2v.media.audio.track and loudness: the part of a file that is used, at -16 LUFS by ffmpeg's own meter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from i2v.core.sound import Track
from i2v.media.audio.files import SoundLimits, keep_sound
from i2v.media.audio.loudness import PEAK, TARGET, limited, normalised
from i2v.media.audio.track import track_sound
from i2v.media.sound import Sound
from tests.clips import make_sound
from tests.sounds import loudness, sound_file


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quiet tone of two seconds."""
    path = tmp_path_factory.mktemp("sounds") / "a.sound"
    keep_sound(sound_file("flac", 2.0, 0.05), SoundLimits(10**6, 60), path)
    return path


@pytest.mark.parametrize(("seconds", "track"), [(1.5, Track()), (5.0, Track(start=0.5, loop=True))])
def test_it_is_as_long_as_the_clip_and_as_loud_as_all_are(kept: Path, seconds: float, track: Track) -> None:
    sound = track_sound(kept, track, seconds)
    assert len(sound.samples) == round(seconds * 48_000)
    assert loudness(sound)[0] == pytest.approx(TARGET, abs=0.5)


def test_without_a_loop_silence_follows(kept: Path) -> None:
    sound = track_sound(kept, Track(start=1.25), 3.0)
    assert abs(sound.samples[:35_000]).max() > 0.1
    assert not sound.samples[37_000:].any()


def test_it_is_faded_at_both_ends(kept: Path) -> None:
    plain = track_sound(kept, Track(), 2.0).samples
    faded = track_sound(kept, Track(fade_in=1, fade_out=0.5), 2.0).samples
    assert np.array_equal(faded[48_000:72_000], plain[48_000:72_000])
    assert np.allclose(faded[24_000], plain[24_000] / 2, atol=1e-3)
    assert np.allclose(faded[84_000], plain[84_000] / 2, atol=1e-3)
    assert not faded[0].any()
    assert not faded[-1].any()


def test_the_volume_is_a_factor_and_no_peak_is_too_high(kept: Path) -> None:
    half, twice = (loudness(track_sound(kept, Track(volume=volume), 2.0)) for volume in (0.5, 2))
    assert half[0] == pytest.approx(TARGET - 6, abs=0.5)
    assert twice[0] == pytest.approx(TARGET + 6, abs=0.5)
    assert twice[1] <= PEAK + 0.5
    loud = Sound(np.float32(2) * make_sound(1, 48_000, 2).samples, 48_000)
    assert abs(limited(loud).samples).max() <= 10 ** (PEAK / 20) + 0.01


def test_noise_with_peaks_is_as_loud_without_exceeding_them() -> None:
    noise = np.random.default_rng(3).normal(0, 0.02, (48_000 * 5, 2)).astype(np.float32)
    noise[::12_000] = 0.9
    found = normalised(Sound(noise, 48_000))
    level, peak = loudness(found)
    assert level == pytest.approx(TARGET, abs=1.5)
    assert peak <= PEAK + 0.5
    assert len(found.samples) == len(noise)


def test_the_loudest_there_is_becomes_quieter() -> None:
    square = np.where(np.arange(48_000 * 4) // 24 % 2, 1, -1).astype(np.float32)
    found = normalised(Sound(np.stack([square, square], axis=1), 48_000))
    assert loudness(found)[0] == pytest.approx(TARGET, abs=0.5)


def test_silence_and_what_is_too_short_to_measure_stay_as_they_are() -> None:
    for count in (48_000, 4_800, 0):
        silence = Sound(np.zeros((count, 2), np.float32), 48_000)
        assert np.array_equal(normalised(silence).samples, silence.samples)
