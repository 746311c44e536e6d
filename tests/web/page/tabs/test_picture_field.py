"""A picture's field: its value is a path, and only that of an upload."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.data_classes import ImageData

from i2v.core.errors import InvalidRequest
from i2v.web.page.tabs.picture_field import picture_field


@pytest.fixture
def field() -> Any:
    async def build() -> Any:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return picture_field(100, "i2v-any", ("upload",))

    return asyncio.run(build())


def test_an_upload_is_taken_unopened_and_another_path_refused(field: Any) -> None:
    path = Path(field.GRADIO_CACHE) / "no picture at all.png"
    assert field.preprocess(ImageData(path=str(path))) == str(path.resolve())
    assert field.preprocess(None) is None
    with pytest.raises(InvalidRequest):
        field.preprocess(ImageData(path="/etc/passwd"))
    assert field.postprocess(str(path)).path == str(path)
    assert field.postprocess(None) is None
