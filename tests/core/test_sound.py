"""i2v.core.sound: how a request says what its sound file is used for."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.sound import Narration, Track


def parse(sound: object) -> Track | None:
    return GenerationRequest.parse({"prompt": "x", "sound": sound}).sound


def test_an_object_and_a_forms_text_mean_the_same() -> None:
    track = Track(start=1.5, fade_out=2, loop=True, volume=0.5)
    assert parse({"start": "1.5", "fade_out": 2, "loop": "true", "volume": 0.5}) == track
    assert parse('{"start": 1.5, "fade_out": 2, "loop": true, "volume": 0.5}') == track
    assert parse({}) == Track()
    assert parse(None) is parse("") is None


@pytest.mark.parametrize(
    ("sound", "field"),
    [
        ({"start": -1}, "sound.start"),
        ({"start": True}, "sound.start"),
        ({"fade_in": 61}, "sound.fade_in"),
        ({"fade_out": "nan"}, "sound.fade_out"),
        ({"volume": 2.1}, "sound.volume"),
        ({"loop": "perhaps"}, "sound.loop"),
        ({"file": "a.mp3"}, "sound"),
        ("{", "sound"),
        ([], "sound"),
    ],
)
def test_what_is_wrong_is_named(sound: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(sound)
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", field)


def test_a_narration_is_a_text_or_an_object() -> None:
    def parse(narration: object) -> Narration | None:
        return GenerationRequest.parse({"prompt": "x", "narration": narration}).narration

    assert parse(" Hello ") == parse('{"text": "Hello"}') == parse({"text": "Hello"}) == Narration("Hello")
    assert parse({"text": "你好", "fit": "speed", "volume": "0.5"}) == Narration(
        "你好", fit="speed", volume=0.5
    )
    assert parse("") is None
    for text, language in (("Hello", "en"), ("你好", "zh-CN")):
        assert Narration(text).settled() == Narration(text, language=language)
    for wrong, field in (
        ({}, "narration.text"), ({"text": " "}, "narration.text"), ({"text": "..."}, "narration.text"),
        ({"text": "x" * 1001}, "narration.text"), ({"text": "a\0b"}, "narration.text"),
        ({"text": "\ud800"}, "narration.text"), ({"text": "x", "voice": "../x"}, "narration.voice"),
        ({"text": "x", "language": "xx"}, "narration.language"),
        ({"text": "x", "fit": "cut"}, "narration.fit"),
        ({"text": "x", "speed": 1}, "narration"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest) as caught:
            parse(wrong)
        assert caught.value.params["field"] == field
