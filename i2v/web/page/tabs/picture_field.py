"""A field for a picture whose file is taken as the browser sent it: nothing is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from i2v.web.page.uploads import uploaded


def picture_field(height: int, name: str, sources: Sequence[str], placeholder: str | None = None) -> Any:
    """Return Gradio's field, whose value is the path of an uploaded file.

    Gradio's own would open the file with every decoder there is, and fail without a word of ours. An update
    of this widget would bring them back, in a copy for that visitor, and so would its absence among a
    handler's answers: its texts do not change, and who may answer with it always does.
    """
    field = gr.Image(
        type="filepath",
        sources=list(sources),  # type: ignore[arg-type]
        buttons=[],
        height=height,
        show_label=False,
        placeholder=placeholder,
        elem_id=name,
    )
    field.preprocess = partial(_path, Path(field.GRADIO_CACHE))  # type: ignore[method-assign]
    field.postprocess = _shown  # type: ignore[method-assign,assignment]
    return field


def _path(folder: Path, picture: ImageData | None) -> str | None:
    return str(uploaded(picture.path, folder)) if picture else None


def _shown(path: str | None) -> ImageData | None:
    return ImageData(path=path, orig_name=Path(path).name) if path else None
