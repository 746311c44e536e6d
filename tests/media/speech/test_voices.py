"""i2v.media.speech.voices: who can speak here, and what to do where nobody can."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import load_settings
from i2v.core.sound import Narration
from i2v.media.speech import voices
from i2v.media.speech.voices import Voice, find_voice, has_espeak, voice_names


@pytest.fixture
def models(tmp_path: Path) -> ModelSettings:
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in ("en_GB-alba.onnx", "en_GB-alba.onnx.json", "lonely.onnx"):
        (folder / name).touch()
    return load_settings(flags={"models.directory": tmp_path}).models


@pytest.mark.parametrize(
    ("text", "language"), [("Hello", "en"), ("你好", "cmn"), ("a cat 猫", "cmn"), ("Ünïcode 12", "en")]
)
def test_the_language_is_told_by_the_text(models: ModelSettings, text: str, language: str) -> None:
    assert find_voice(Narration(text).settled(), models) == Voice(language)
    assert find_voice(Narration(text, language="en").settled(), models) == Voice("en")


def test_a_voice_of_piper_is_a_file_with_its_json(models: ModelSettings) -> None:
    assert voice_names(models) == ["en_GB-alba"]
    found = find_voice(Narration("Hello", voice="en_GB-alba").settled(), models)
    assert found.path == models.directory / "voices" / "en_GB-alba.onnx"
    with pytest.raises(InvalidRequest, match="Voices there: en_GB-alba"):
        find_voice(Narration("Hello", voice="lonely"), models)


@pytest.mark.parametrize(
    ("voice", "code"), [("", "narration.no_espeak"), ("en_GB-alba", "narration.no_piper")]
)
def test_without_the_program_the_fix_is_said(
    models: ModelSettings, voice: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "has_espeak", lambda: False)
    monkeypatch.setattr(voices, "find_spec", lambda name: None)
    with pytest.raises(InvalidRequest, match=r"scripts/setup\.sh") as caught:
        find_voice(Narration("Hello", voice=voice), models)
    assert caught.value.code == code


def test_espeak_is_the_package_or_the_systems_library() -> None:
    assert has_espeak(lambda name: None, lambda name: "libespeak-ng.so.1")
    assert has_espeak(lambda name: object(), lambda name: None)
    assert not has_espeak(lambda name: None, lambda name: None)
