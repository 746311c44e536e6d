"""Files that a browser names: read only if it has uploaded them. Does not know what is in them."""

from __future__ import annotations

from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown


def uploaded(path: object, folder: Path) -> Path:
    """Return the path of an uploaded file; raise `InvalidRequest` for any other, which only a program sends.

    Gradio itself checks a path only where the sender calls it a file.

    Args:
        folder: Gradio's own, where uploads arrive.
    """
    found = Path(str(path)).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise InvalidRequest("request.invalid", field="path", value=shown(path), allowed="an uploaded file")
    return found


def read_upload(path: Path) -> bytes:
    """Return the file's content; raise `InvalidRequest` if it is gone: uploads are kept for a day."""
    try:
        return path.read_bytes()
    except OSError as error:
        name, reason = shown(path.name, limit=300), error.strerror or str(error)
        raise InvalidRequest("image.unreadable", path=name, reason=reason) from error
