"""Fields for a sound: what they become in a request, and how a job's are brought back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.sound import Narration, Track
from i2v.web.page.tabs.sound import SoundFields
from i2v.web.page.tabs.widgets import Labels


@pytest.fixture
def fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoundFields:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    async def build() -> SoundFields:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return SoundFields(Labels(), lambda: ["amy"])

    return asyncio.run(build())


def values(fields: SoundFields, file: object) -> dict[Any, object]:
    return {widget: getattr(widget, "value", None) for widget in fields.widgets()} | {fields.file: file}


def test_without_a_file_there_is_no_sound(fields: SoundFields) -> None:
    for empty in (None, []):
        assert fields.given(values(fields, empty)) == {}
        assert fields.files(values(fields, empty)) == ()


def test_untouched_fields_mean_what_a_silent_request_means(fields: SoundFields, tmp_path: Path) -> None:
    file = tmp_path / "a.mp3"
    file.write_bytes(b"sound")
    for value in (str(file), [file]):
        given = fields.given(values(fields, value))
        assert GenerationRequest.parse(given).sound == Track()
        assert fields.files(values(fields, value)) == (b"sound",)


def test_a_file_that_was_not_uploaded_is_not_read(fields: SoundFields) -> None:
    with pytest.raises(InvalidRequest):
        fields.files(values(fields, "/etc/hostname"))


def test_a_jobs_sound_is_brought_back_or_taken_away(fields: SoundFields) -> None:
    filled = fields.filled({"sound": {"start": 1.5, "loop": True}})
    placed = fields.placed({}, b"fLaC")
    now = filled | placed
    assert fields.files(now) == (b"fLaC",)
    assert GenerationRequest.parse(fields.given(now)).sound == Track(start=1.5, loop=True)
    assert fields.placed(now, None, keep=True) == placed
    assert fields.placed(now, None) == {fields.file: None}
    assert fields.filled({}).keys() == set(fields.fields())


def test_a_text_is_a_narration_by_a_voice_that_is_there(fields: SoundFields) -> None:
    given = values(fields, None) | {fields.narration: "Hello", fields.voice: "amy", fields.fit: "speed"}
    narration = Narration("Hello", voice="amy", fit="speed")
    assert GenerationRequest.parse(fields.given(given)).narration == narration
    assert fields.given(given | {fields.narration: "  "}) == {}
    assert fields.shown("en")[fields.voice]["choices"] == [("espeak-ng (simple)", ""), ("amy", "amy")]
    filled = fields.filled({"narration": {"text": "Hello", "voice": "amy", "fit": "speed"}})
    assert (filled[fields.narration], filled[fields.fit]) == ("Hello", "speed")
    assert filled[fields.voice]["value"] == "amy"
    assert fields.filled({})[fields.narration] == ""
