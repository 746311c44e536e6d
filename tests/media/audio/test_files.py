"""i2v.media.audio.files: sounds from strangers are read within limits, or refused with the reason."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.media.audio.files import SoundLimits, file_digest, keep_sound, read_part
from tests.sounds import sound_file

LIMITS = SoundLimits(10**6, 60)


def wave(kind: int = 1, channels: int = 2) -> bytes:
    """Return a WAV file that says to have so many channels of samples of that kind."""
    form = struct.pack("<HHIIHH", kind, channels, 44_100, 176_400, 4, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 3036)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + (struct.pack("<I", 3000) + bytes(3000))
    )


@pytest.mark.parametrize("kind", ["mp3", "m4a", "wav", "flac", "ogg"])
def test_each_kind_becomes_a_wave_of_its_samples_alone(kind: str, tmp_path: Path) -> None:
    kept = tmp_path / "a.sound"
    assert keep_sound(sound_file(kind), LIMITS, kept) == pytest.approx(2, abs=0.1)
    data = kept.read_bytes()
    assert (data[:4], len(data) % 4) == (b"RIFF", 0)
    assert b"secret" not in data
    sound = read_part(kept, 0.5, 1)
    assert (sound.samples.shape, sound.sample_rate) == ((48_000, 2), 48_000)
    assert abs(sound.samples).max() == pytest.approx(0.14, abs=0.02)  # mono: 3 dB less on each side


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_cover_is_left_behind(kind: str, tmp_path: Path) -> None:
    keep_sound(sound_file(kind, cover=True), LIMITS, tmp_path / "a.sound")
    keep_sound(sound_file(kind), LIMITS, tmp_path / "b.sound")
    assert file_digest(tmp_path / "a.sound") == file_digest(tmp_path / "b.sound")


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
        (wave(channels=65535), "sound.unreadable"),
        (wave(kind=0x2000), "sound.unreadable"),  # AC-3, whose decoder is not allowed
    ],
    ids=[
        "empty",
        "playlist",
        "list of files",
        "matroska",
        "picture",
        "wav",
        "mp3",
        "flac",
        "m4a",
        "channels",
        "ac3",
    ],
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


def test_what_was_kept_may_come_once_more_though_it_is_larger(tmp_path: Path) -> None:
    kept, again = tmp_path / "a.sound", tmp_path / "b.sound"
    keep_sound(sound_file("mp3"), LIMITS, kept)
    assert kept.stat().st_size > 300_000
    assert keep_sound(kept.read_bytes(), SoundLimits(300_000, 3), again) == pytest.approx(2, abs=0.1)
    assert file_digest(again) == file_digest(kept)


@pytest.mark.parametrize("change", [lambda data: data[:20], lambda data: b"no sound", lambda data: wave()])
def test_a_kept_file_that_somebody_has_changed_is_named(
    change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    kept = tmp_path / "a.sound"
    keep_sound(sound_file("mp3"), LIMITS, kept)
    kept.write_bytes(change(kept.read_bytes()))
    with pytest.raises(I2VError) as caught:
        read_part(kept, 0, 1)
    assert caught.value.code == "sound.unreadable"


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
