"""i2v.pipeline.soundtrack: what goes beside the frames, from a submitted file to the published clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import Generation
from i2v.core.sound import Track
from i2v.media.audio.files import SoundLimits, keep_sound
from i2v.media.audio.loudness import TARGET
from i2v.pipeline.soundtrack import check_start, prepare_soundtrack
from tests.clips import make_sound
from tests.sounds import loudness, sound_file


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "a.sound"
    keep_sound(sound_file("mp3"), SoundLimits(10**6, 60), path)
    return path


def test_without_a_file_only_the_engine_is_heard(generation: Generation) -> None:
    soundtrack = prepare_soundtrack(generation, None)
    own = make_sound(1)
    assert soundtrack.with_own(own) is own
    assert soundtrack.with_own(None) is None
    assert soundtrack.track_md5 == ""


def test_a_track_is_as_long_as_the_clip_and_mixed_with_the_engines_sound(
    generation: Generation, track: Path
) -> None:
    asked = replace(generation, num_frames=12, fps=8, sound=Track())
    soundtrack = prepare_soundtrack(asked, track)
    alone = soundtrack.with_own(None)
    assert alone is not None
    assert len(alone.samples) == 72_000
    assert loudness(alone)[0] == pytest.approx(TARGET, abs=0.5)
    both = soundtrack.with_own(make_sound(1.5, 16_000))
    assert both is not None
    assert len(both.samples) == 72_000
    assert not np.allclose(both.samples, alone.samples, atol=0.05)
    assert len(soundtrack.track_md5) == 32


def test_a_file_that_is_lost_is_named_before_anything_is_made(generation: Generation, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare_soundtrack(replace(generation, sound=Track()), tmp_path / "gone.sound")
    assert caught.value.code == "job.sound_lost"


def test_a_start_behind_the_end_is_refused() -> None:
    check_start(Track(start=1.9), 2.0)
    with pytest.raises(InvalidRequest, match=r"sound\.start must be less than 2\.00"):
        check_start(Track(start=2), 2.0)
