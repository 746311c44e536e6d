"""Pictures as tools get them: from an upload, as base64 text, or by a path in a folder of the settings."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import JsonObject
from i2v.web.api.base64_picture import decode_base64
from i2v.web.api.request_schemas import JsonSchema
from i2v.web.one_time import OneTime

PICTURE: JsonSchema = {
    "type": "object",
    "description": "the picture, in one of three ways",
    "oneOf": [
        {"required": ["upload_id"]},
        {"required": ["data"]},
        {"required": ["path"]},
    ],
    "additionalProperties": False,
    "properties": {
        "upload_id": {"type": "string", "description": "of the tool upload, once the file was sent"},
        "data": {"type": "string", "description": "the file in base64, or as a data: URL; for small files"},
        "path": {
            "type": "string",
            "description": "on the server's machine, in a folder that its settings allow (mcp.folders)",
        },
    },
}
_WAYS = ("upload_id", "data", "path")
_ALLOWED = "an object with one of upload_id, data and path, each a text"


def read_picture(given: object, once: OneTime, folders: Sequence[Path], max_bytes: float) -> bytes:
    """Return a picture's file.

    Raises:
        InvalidRequest: `request.*`, `once.no_upload`, `image.*` or `mcp.*`.
    """
    if isinstance(given, dict) and len(given) == 1:
        match given:
            case {"upload_id": str(upload_id)}:
                return once.upload(upload_id)
            case {"data": str(data)}:
                return decode_base64(data)
            case {"path": str(path)}:
                return _read_file(path, folders, max_bytes)
    value = shown(given) if not isinstance(given, dict) else f"fields {', '.join(map(shown, given))}"
    raise InvalidRequest("request.invalid", field="image", value=value, allowed=_ALLOWED)


def uploads_in(fields: JsonObject) -> list[str]:
    """Return which uploads the pictures of a request are."""
    inputs = fields.get("inputs")
    pictures = [fields.get("image")]
    pictures += (
        [each.get("image") for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    )
    return [str(each["upload_id"]) for each in pictures if isinstance(each, dict) and "upload_id" in each]


def _read_file(given: str, folders: Sequence[Path], max_bytes: float) -> bytes:
    """Read a file of the allowed folders; of others nothing is told, not even whether they exist."""
    name = shown(given, limit=300)
    try:
        path = Path(given).resolve()
        is_allowed = Path(given).is_absolute() and any(
            path.is_relative_to(each.resolve()) for each in folders
        )
    except (OSError, ValueError, RuntimeError):  # a null byte, a loop of links
        is_allowed = False
    if not is_allowed:
        raise InvalidRequest("mcp.no_folder", path=name)
    try:
        # `path` has no links: one that was put in its place meanwhile is refused, and a pipe does not stop us
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidRequest("mcp.not_read", path=name, reason="it is no file")
            picture = file.read(round(max_bytes) + 1)  # of one that is too large, as much as shows it
    except OSError as error:
        raise InvalidRequest("mcp.not_read", path=name, reason=error.strerror or str(error)) from error
    return picture
