"""Gradio's parser of uploads, so that a file stays only if it has arrived and is asked for.

Gradio's own leaves a file that broke off, or that came under another name than `files`, for good, and counts
bytes of what is no file as if it were one. This module does not know where files go.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from gradio import route_utils
from gradio.routes import file_upload_statuses
from gradio_client.utils import strip_invalid_filename_characters
from starlette.datastructures import FormData, UploadFile

FIELD = "files"
MAX_FILES = 200  # each takes a descriptor until the last has arrived


class UploadParser(route_utils.GradioMultiPartParser):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "max_files": MAX_FILES, "max_fields": 0})

    async def parse(self) -> FormData:
        arrived: list[object] = []
        try:
            form = await super().parse()
            for name, item in form.multi_items():
                if name == FIELD and isinstance(item, UploadFile):
                    item.filename = _usable(item.filename)
                    arrived.append(item.file)
            return form
        finally:
            for file in self._files_to_close_on_error:
                if file not in arrived:
                    file.close()
                    Path(file.name).unlink(missing_ok=True)


def _usable(name: str | None) -> str:
    """Return the name if a file can have it: Gradio fails for others, and the file stays where it was."""
    last = strip_invalid_filename_characters(Path(name or "").name)
    return "upload" if not last.strip(". ") or "\0" in last else last


def install() -> None:
    """Let Gradio's upload route use it."""
    route_utils.GradioMultiPartParser = UploadParser  # type: ignore[misc]


def forget_progress(upload_id: str) -> None:
    """Let go what is kept about an upload for whoever asks how far it is; Gradio keeps it until then."""
    file_upload_statuses.stop_tracking(upload_id)
    with contextlib.suppress(KeyError):
        del file_upload_statuses._signals[upload_id]
