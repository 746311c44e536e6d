"""i2v.pipeline.soundtrack: what goes beside the frames, from a submitted file to the published clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.generation import Generation
from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import load_settings
from i2v.core.sound import Narration, Track
from i2v.media.audio.files import SoundLimits, keep_sound
from i2v.media.audio.loudness import TARGET
from i2v.media.speech.process import Speech
from i2v.media.speech.voices import Voice
from i2v.pipeline import soundtrack as module
from i2v.pipeline.soundtrack import FASTEST, SLOWEST, check_start, prepare_soundtrack
from tests.clips import make_sound
from tests.sounds import loudness, sound_file


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "a.sound"
    keep_sound(sound_file("mp3"), SoundLimits(10**6, 60), path)
    return path


@pytest.fixture
def models(tmp_path: Path) -> ModelSettings:
    return load_settings(flags={"models.directory": tmp_path}).models


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have a voice that takes a tenth of a second for a letter; return at which speeds it spoke."""
    spoken: list[float] = []

    def speak(voice: Voice, text: str, speed: float = 1.0) -> Speech:
        spoken.append(speed)
        return Speech(make_sound(0.1 * len(text) / speed, 22_050), "nobody 1.0")

    monkeypatch.setattr(module, "speak", speak)
    monkeypatch.setattr(module, "find_voice", lambda narration, models: Voice("en"))
    return spoken


def test_without_a_file_only_the_engine_is_heard(generation: Generation, models: ModelSettings) -> None:
    soundtrack = prepare_soundtrack(generation, None, models)
    own = make_sound(1)
    assert soundtrack.with_own(own) is own
    assert soundtrack.with_own(None) is None
    assert soundtrack.track_sha256 == ""


def test_a_track_is_as_long_as_the_clip_and_mixed_with_the_engines_sound(
    generation: Generation, track: Path, models: ModelSettings
) -> None:
    asked = replace(generation, num_frames=12, fps=8, sound=Track())
    soundtrack = prepare_soundtrack(asked, track, models)
    alone = soundtrack.with_own(None)
    assert alone is not None
    assert len(alone.samples) == 72_000
    assert loudness(alone)[0] == pytest.approx(TARGET, abs=0.5)
    both = soundtrack.with_own(make_sound(1.5, 16_000))
    assert both is not None
    assert len(both.samples) == 72_000
    assert not np.allclose(both.samples, alone.samples, atol=0.05)
    assert len(soundtrack.track_sha256) == 64


def test_a_file_that_is_lost_is_named_before_anything_is_made(
    generation: Generation, tmp_path: Path, models: ModelSettings
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare_soundtrack(replace(generation, sound=Track()), tmp_path / "gone.sound", models)
    assert caught.value.code == "job.sound_lost"


def test_a_start_behind_the_end_is_refused() -> None:
    check_start(Track(start=1.9), 2.0)
    with pytest.raises(InvalidRequest, match=r"sound\.start must be less than 2\.00"):
        check_start(Track(start=2), 2.0)


def narrated(generation: Generation, letters: int, seconds: int, **options: object) -> Generation:
    """Return a clip of `seconds` with a text of so many letters."""
    narration = Narration("a" * letters, **options)  # type: ignore[arg-type]
    return replace(generation, num_frames=8 * seconds, fps=8, narration=narration)


def test_by_default_the_clip_is_held_to_the_speech(
    generation: Generation, track: Path, models: ModelSettings, speeds: list[float]
) -> None:
    asked = replace(narrated(generation, 45, 2), sound=Track(loop=True))
    soundtrack = prepare_soundtrack(asked, track, models)
    assert (soundtrack.seconds, soundtrack.speaker) == (pytest.approx(4.5), "nobody 1.0")
    assert [notice.code for notice in soundtrack.notices] == ["narration.held"]
    sound = soundtrack.with_own(make_sound(2, 16_000))
    assert sound is not None
    assert sound.seconds == pytest.approx(4.5)
    short = prepare_soundtrack(narrated(generation, 5, 2), None, models)
    assert (short.seconds, short.notices) == (2, ())
    assert speeds == [1, 1]


@pytest.mark.parametrize(
    ("letters", "speed"), [(20, None), (26, 1.3), (18, 0.9), (5, SLOWEST), (30, FASTEST)]
)
def test_the_speech_is_fitted_to_the_clip_within_limits(
    generation: Generation, models: ModelSettings, speeds: list[float], letters: int, speed: float | None
) -> None:
    soundtrack = prepare_soundtrack(narrated(generation, letters, 2, fit="speed"), None, models)
    assert soundtrack.seconds == 2
    assert speeds == [1, pytest.approx(speed or 1)]


def test_a_text_that_does_not_fit_is_refused_with_the_length_that_it_takes(
    generation: Generation, models: ModelSettings, speeds: list[float]
) -> None:
    with pytest.raises(InvalidRequest, match="even spoken fast it takes 4") as caught:
        prepare_soundtrack(narrated(generation, 60, 2, fit="speed"), None, models)
    assert caught.value.code == "narration.too_long"
    assert speeds == [1]


def test_speech_is_as_loud_as_all_sounds_are(
    generation: Generation, models: ModelSettings, speeds: list[float]
) -> None:
    asked = narrated(generation, 40, 4)
    sound = prepare_soundtrack(asked, None, models).with_own(None)
    assert sound is not None
    assert loudness(sound)[0] == pytest.approx(TARGET, abs=0.6)
