"""A picture on the disk, as a person names it: its bytes, or why they cannot be had."""

from __future__ import annotations

from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.media.pictures.kinds import is_video


def read_picture(path: Path, limit: int) -> bytes:
    """Return the file's bytes, one more than `limit` at most: the decoder refuses those.

    Raises `InvalidRequest` (`image.*`), also for a video.
    """
    name = shown(str(path), limit=300)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise InvalidRequest("image.missing", path=name, folder=shown(str(Path.cwd()), limit=300)) from error
    except IsADirectoryError as error:
        raise InvalidRequest("image.is_folder", path=name) from error
    except OSError as error:
        raise InvalidRequest("image.unreadable", path=name, reason=error.strerror or str(error)) from error
    if is_video(data[:512]):
        raise InvalidRequest("image.is_video", path=name)
    return data
