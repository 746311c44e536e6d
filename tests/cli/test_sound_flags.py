"""The flags for sound: what they mean in a request, and the file that `make_clip` gets."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from i2v.cli.sound_flags import add_sound_flags, kept_sound, sound_fields
from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_settings
from i2v.core.sound import Narration, Track
from i2v.media.video import probe
from tests.cli.running import run_here
from tests.sounds import sound_file


def fields(*flags: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_sound_flags(parser)
    return sound_fields(parser.parse_args(flags))


def test_flags_are_a_requests_fields() -> None:
    given = fields("--sound", "a.mp3", "--sound-start", "1.5", "--sound-loop", "--sound-volume", "0.5")
    assert GenerationRequest.parse(given).sound == Track(start=1.5, loop=True, volume=0.5)
    assert GenerationRequest.parse(fields("--sound", "a.mp3")).sound == Track()
    assert fields() == {}


def test_a_narration_is_its_text_with_what_is_said_of_it() -> None:
    given = fields("--narration", "Hello", "--narration-fit", "speed", "--narration-voice", "amy")
    assert GenerationRequest.parse(given).narration == Narration("Hello", fit="speed", voice="amy")
    with pytest.raises(InvalidRequest, match="--narration TEXT"):
        fields("--narration-volume", "1")


def test_flags_without_a_file_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="--sound FILE"):
        fields("--sound-fade-in", "1")


def test_the_file_is_kept_as_long_as_it_is_needed(tmp_path: Path) -> None:
    settings, file = load_settings(), tmp_path / "a.ogg"
    file.write_bytes(sound_file("ogg"))
    with kept_sound(str(file), Track(), settings) as kept:
        assert kept is not None
        assert kept.read_bytes().startswith(b"RIFF")
    assert not kept.exists()
    with kept_sound(None, None, settings) as kept:
        assert kept is None


@pytest.mark.parametrize(
    ("track", "name"), [(Track(), "gone.mp3"), (Track(start=9), "a.wav"), (Track(), ".")]
)
def test_a_file_that_cannot_be_used_is_refused(track: Track, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound_file())
    with pytest.raises(InvalidRequest), kept_sound(str(tmp_path / name), track, load_settings()):
        pass


def test_a_clip_has_the_sound_and_asks_for_the_file_again(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    music, clip = tmp_path / "a.flac", tmp_path / "clip.mp4"
    music.write_bytes(sound_file("flac"))
    asked = ("--engine", "camera-move", "--num-frames", "24", "--fps", "24", "--output", clip)
    done = run_here(environment, "generate", picture, *asked, "--sound", music)
    assert done.returncode == 0, done.stderr
    assert probe(clip).sound is not None
    again = run_here(environment, "generate", picture, "--like", clip, "--output", tmp_path / "b.mp4")
    assert (again.returncode, "--sound FILE" in again.stderr) == (2, True)
