"""i2v.media.audio.files: sounds from strangers are read within limits, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.media.audio.files import SoundLimits, keep_sound, read_part, samples_digest
from tests.sounds import sound_file

LIMITS = SoundLimits(10**6, 60)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "wav", "flac", "ogg"])
def test_each_kind_becomes_flac_of_its_samples_alone(kind: str, tmp_path: Path) -> None:
    kept = tmp_path / "a.sound"
    assert keep_sound(sound_file(kind), LIMITS, kept) == pytest.approx(2, abs=0.1)
    data = kept.read_bytes()
    assert data.startswith(b"fLaC")
    assert b"secret" not in data
    sound = read_part(kept, 0.5, 1)
    assert (sound.samples.shape, sound.sample_rate) == ((48_000, 2), 48_000)
    assert abs(sound.samples).max() == pytest.approx(0.14, abs=0.02)  # mono: 3 dB less on each side


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_cover_is_left_behind(kind: str, tmp_path: Path) -> None:
    keep_sound(sound_file(kind, cover=True), LIMITS, tmp_path / "a.sound")
    keep_sound(sound_file(kind), LIMITS, tmp_path / "b.sound")
    assert samples_digest(tmp_path / "a.sound") == samples_digest(tmp_path / "b.sound")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "sound.unknown_kind"),
        (b"#EXTM3U\nfile:///etc/hostname\n", "sound.unknown_kind"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "sound.unknown_kind"),
        (b"\x1aE\xdf\xa3" + bytes(100), "sound.unknown_kind"),  # Matroska
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "sound.unknown_kind"),
        (b"RIFF\0\0\0\0WAVE" + bytes(100), "sound.unreadable"),
        (b"ID3" + bytes(3000), "sound.unreadable"),
        (b"fLaC" + b"\xff" * 3000, "sound.unreadable"),
        (b"\0\0\0\x18ftypM4A " + bytes(3000), "sound.unreadable"),
    ],
    ids=["empty", "playlist", "list of files", "matroska", "picture", "wav", "mp3", "flac", "m4a"],
)
def test_what_is_no_sound_is_refused(data: bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        keep_sound(data, LIMITS, tmp_path / "a.sound")
    assert caught.value.code == code
    assert "/dev/fd" not in caught.value.message


def test_what_is_too_large_or_too_long_is_refused(tmp_path: Path) -> None:
    for limits, code in (
        (SoundLimits(1000, 60), "sound.too_many_bytes"),
        (SoundLimits(10**6, 1), "sound.too_long"),
    ):
        with pytest.raises(I2VError) as caught:
            keep_sound(sound_file("flac", 3.0), limits, tmp_path / "a.sound")
        assert caught.value.code == code


def test_a_folder_that_is_gone_is_not_the_sounds_fault(tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        keep_sound(sound_file(), LIMITS, tmp_path / "gone" / "a.sound")
    assert caught.value.code == "sound.not_stored"


def test_a_sound_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(slow))
    monkeypatch.setattr("i2v.media.audio.files.CLOCK_SECONDS", 0.2)
    with pytest.raises(I2VError) as caught:
        keep_sound(sound_file(), LIMITS, tmp_path / "a.sound")
    assert caught.value.code == "sound.too_slow"
