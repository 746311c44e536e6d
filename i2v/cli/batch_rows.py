"""What `i2v batch` is to make: a folder of pictures, or the rows of a CSV or JSON Lines file.

Owns which pictures there are, and where each row stands, for a complaint. What is in a file of rows is
`service.batch_files`' business; whether an engine can do what a row asks for is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from i2v.cli.picture_files import read_picture
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.schema import GenerationRequest
from i2v.media.image import ImageLimits, inspect_picture
from i2v.service.batch_files import FILES, parse_rows

SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".webp", ".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".bmp",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One clip to be.

    Attributes:
        number: from 1, over all rows.
        place: where it stands, for a complaint.
        fields: of a `GenerationRequest`, those of the flags included.
    """

    number: int
    place: str
    picture: Path
    fields: dict[str, object] = field(default_factory=dict)

    def read(self, limits: ImageLimits) -> bytes:
        """Return the picture's bytes; raise `InvalidRequest` (`image.*`)."""
        return read_picture(self.picture, limits.max_bytes)

    def check(self, limits: ImageLimits) -> tuple[int, int]:
        """Return the picture's size; raise `InvalidRequest` for what is wrong whatever the engine."""
        GenerationRequest.parse(self.fields)
        return inspect_picture(self.read(limits), limits).size

    def digest(self, limits: ImageLimits) -> str:
        """Return what tells the row from others: its picture's bytes and its fields."""
        said = json.dumps(self.fields, sort_keys=True).encode()
        return sha256(sha256(said).digest() + self.read(limits)).hexdigest()

    def refused(self, error: I2VError) -> InvalidRequest:
        """Return the error, with where the row stands."""
        return InvalidRequest("batch.bad_row", place=self.place, reason=error.message)


def read_rows(source: Path, given: Mapping[str, object]) -> list[Row]:
    """Return the rows of a folder, a CSV or a JSON Lines file; `given` are fields for all of them.

    Raises `InvalidRequest` (`batch.*`).
    """
    name = shown(str(source), limit=300)
    if source.is_dir():
        found = list(_of_folder(source))
    elif source.suffix.lower() in FILES:
        listed = parse_rows(name, source.suffix.lower(), _text_of(source))
        found = [(row.place, source.parent / row.picture, row.fields) for row in listed]
    elif source.exists():
        raise InvalidRequest("batch.bad_source", path=name)
    else:
        raise InvalidRequest("batch.missing", path=name)
    if not found:
        raise InvalidRequest("batch.empty", path=name)
    return [
        Row(number, place, picture, {**given, **fields})
        for number, (place, picture, fields) in enumerate(found, 1)
    ]


_Found = tuple[str, Path, dict[str, object]]


def _of_folder(folder: Path) -> Iterator[_Found]:
    """Yield the folder's pictures as people sort them; a `.txt` beside one is its prompt."""
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise _unreadable(folder, error.strerror or str(error)) from error
    for path in sorted(files, key=lambda path: _natural(path.name)):
        if path.suffix.lower() in SUFFIXES:
            text = path.with_suffix(".txt")
            prompt = _text_of(text).strip() if text.is_file() else ""
            yield shown(str(path), limit=300), path, {"prompt": prompt} if prompt else {}


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which 9.png comes before 10.png."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # Excel writes the mark
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _unreadable(path: Path, reason: str) -> InvalidRequest:
    return InvalidRequest(
        "batch.unreadable", path=shown(str(path), limit=300), reason=shown(reason, limit=200)
    )
