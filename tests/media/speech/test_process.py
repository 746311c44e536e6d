"""i2v.media.speech.process, with espeak-ng and Piper as they are: texts become sound, and stay texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import EncodeError
from i2v.media.speech.process import speak
from i2v.media.speech.voices import Voice
from tests.tiny_voice import SAMPLE_RATE, SAMPLES, write_voice

pytest.importorskip("espeakng_loader")


@pytest.mark.parametrize(
    ("language", "text"),
    [pytest.param("en", "A quiet morning by the lake.", marks=pytest.mark.slow), ("cmn", "湖边宁静的早晨。")],
)
def test_a_text_is_spoken_and_faster_where_that_is_asked_for(language: str, text: str) -> None:
    usual, fast = speak(Voice(language), text), speak(Voice(language), text, 1.5)
    assert 1 < usual.seconds < 4
    assert usual.seconds / fast.seconds == pytest.approx(1.5, rel=0.2)
    assert usual.speaker.startswith("espeak-ng 1.")
    assert usual.sound.problem() == ""
    assert abs(usual.sound.samples[[0, -1]]).min() > 0, "no silence at its ends"


def test_a_text_is_nothing_else(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    text = f"$(touch {touched}) `touch {touched}`; touch {touched} <audio src='file:///etc/passwd'/> -w x \\n"
    assert speak(Voice("en"), text).seconds > 2
    assert not touched.exists()


@pytest.mark.parametrize(
    "voice",
    [Voice("nobody's"), pytest.param(Voice("en", Path("/nowhere/x.onnx")), marks=pytest.mark.slow)],
    ids=["espeak", "piper"],
)
def test_a_voice_that_cannot_speak_is_an_error(voice: Voice) -> None:
    with pytest.raises(EncodeError) as caught:
        speak(voice, "Hello")
    assert caught.value.code == "narration.failed"


def test_a_voice_of_piper_speaks_and_faster_where_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    write_voice(tmp_path / "hum.onnx")
    voice = Voice("en", tmp_path / "hum.onnx")
    usual, fast = speak(voice, "hello hello"), speak(voice, "hello hello", 1.25)
    assert usual.speaker.startswith("piper 1.")
    assert usual.speaker.endswith("voice hum")
    assert (usual.sound.sample_rate, usual.sound.channels) == (SAMPLE_RATE, 1)
    assert usual.seconds == pytest.approx(SAMPLES / SAMPLE_RATE)
    assert usual.seconds / fast.seconds == pytest.approx(1.25, rel=0.01)
