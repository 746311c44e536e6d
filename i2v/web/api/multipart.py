"""Forms of several parts (`multipart/form-data`): from the bytes of a body to its texts and its files.

Owns how parts are found and that texts are UTF-8. Deliberately does not know which texts there are, where
the files go, nor what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from i2v.core.errors import InvalidRequest
from i2v.core.fields import MAX_FRAMES, shown
from i2v.web.api.charsets import check_charset, read_text

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PICTURE = "image"
SOUND = "sound_file"
KEYFRAMES = {f"keyframe_{frame}": frame for frame in range(1, MAX_FRAMES)}  # by the names of their parts
# parts that are files
FILES = frozenset({PICTURE, "last_image", "motion_mask", "style_image", SOUND, *KEYFRAMES})
MAX_PARTS = 64  # the request has some fifteen fields
MAX_TEXT = 2**20  # bytes of all texts together

_AS_IT_IS = (b"", b"7bit", b"8bit", b"binary")  # what Content-Transfer-Encoding may say


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    is_file: bool = False
    file_name: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    written: int = 0  # bytes of a picture

    @property
    def shown_name(self) -> str:
        return shown(self.name.decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class Form:
    """A form whose pictures were written away, one behind the other.

    Attributes:
        texts: by field.
        sizes: bytes of each picture by its name, in the order in which they were written.
        file_names: what the client calls each picture's file, if it does: for people, and no path here.
    """

    texts: dict[str, str]
    sizes: dict[str, int]
    file_names: dict[str, str]

    def split(self, written: bytes) -> dict[str, bytes]:
        """Return the pictures by their names, of all that was written."""
        ends = accumulate(self.sizes.values())
        return {
            name: written[end - size : end]
            for (name, size), end in zip(self.sizes.items(), ends, strict=True)
        }


async def receive_form(
    content_type: str,
    chunks: AsyncIterator[bytes],
    write: Callable[[bytes], Awaitable[None]],
    files: frozenset[str],
    required: str | None,
) -> Form:
    """Return the form that `chunks` are, each field once.

    Args:
        content_type: the header's value; it has the boundary.
        write: is given the pictures, piece by piece.
        files: the names of the parts that are files; `required`: which of them must be there.
    Raises:
        InvalidRequest: `http.*`, or `request.*` for a picture that is missing, a file where a text belongs
            and the other way round.
    """
    options = parse_options_header(content_type)[1]
    charset = options.get(b"charset", b"").decode("latin-1")
    check_charset(charset, "Content-Type")
    boundary = options.get(b"boundary")
    if not boundary:
        raise _malformed("its Content-Type has no boundary; let the client write that header itself")
    reader = _Reader(frozenset(name.encode() for name in files))
    await _read(chunks, boundary, reader, write)
    _check_kinds(reader.parts, reader.files, required)
    sizes = {part.name.decode(): part.written for part in reader.parts if part.is_file}
    file_names = {
        part.name.decode(): part.file_name.decode("utf-8", "replace") for part in reader.parts if part.is_file
    }
    return Form(_texts(reader.parts, charset), sizes, file_names)


class _Reader:
    """What the parser calls. Bytes of pictures are handed on by `take`, those of texts kept."""

    def __init__(self, files: frozenset[bytes]) -> None:
        self.files = files
        self.parts: list[_Part] = []
        self.is_complete = False
        self._header, self._value = bytearray(), bytearray()
        self._pictures: dict[bytes, _Part] = {}
        self._pieces: list[bytes] = []
        self._text_bytes = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_part_data": self._take_data,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": self._end,
        }

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _begin_part(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        self.parts.append(_Part())

    def _end_header(self) -> None:
        self.parts[-1].headers[bytes(self._header.lower())] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        part = self.parts[-1]
        options = parse_options_header(part.headers.get(b"content-disposition"))[1]
        if b"name" not in options:
            raise _malformed("a part has no name in its Content-Disposition")
        part.name, part.is_file = options[b"name"], b"filename" in options
        part.file_name = options.get(b"filename", b"")
        if part.headers.get(b"content-transfer-encoding", b"").lower() not in _AS_IT_IS:
            value = shown(part.headers[b"content-transfer-encoding"].decode("latin-1"))
            raise InvalidRequest("http.transfer_encoding", field=part.shown_name, value=value)
        if part.name in self.files and part.is_file:
            self._pictures.setdefault(part.name, part)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        if part is self._pictures.get(part.name):
            self._pieces.append(data[start:end])
            part.written += end - start
        elif part.name in self.files or part.is_file:
            part.data += data[
                start : min(end, start + 100 - len(part.data))
            ]  # refused below: for the message
        else:
            self._text_bytes += end - start
            if self._text_bytes > MAX_TEXT:
                raise _malformed(f"its texts have more than {MAX_TEXT} bytes")
            part.data += data[start:end]

    def _end(self) -> None:
        self.is_complete = True


async def _read(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    reader: _Reader,
    write: Callable[[bytes], Awaitable[None]],
) -> None:
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
            for piece in reader.take():
                await write(piece)
        parser.finalize()
    except FormParserError as error:
        raise _malformed(f"it is not a multipart form ({shown(str(error), limit=100)})") from error
    if not reader.is_complete:  # the last part may be cut off, and further ones missing
        raise _malformed("it ends before the boundary that closes it, so part of it was lost on the way")


def _check_kinds(parts: list[_Part], files: frozenset[bytes], required: str | None) -> None:
    """Refuse a field that is given twice, a file where a text belongs, a text where the file belongs."""
    for name, count in Counter(part.name for part in parts).items():
        if count > 1:
            twice = next(part for part in parts if part.name == name)
            raise InvalidRequest("http.repeated_field", field=twice.shown_name)
    if required is not None and not any(part.name == required.encode() for part in parts):
        raise InvalidRequest("request.missing_field", field=required)
    for part in parts:
        if part.is_file == (part.name in files):
            continue
        value, allowed = "a file", "plain text; with curl: -F name=value, without @"
        if not part.is_file:
            value = shown(part.data.decode("utf-8", "backslashreplace"))
            allowed = f"a file with a file name; with curl: -F {part.shown_name}=@photo.jpg"
        raise InvalidRequest("request.invalid", field=part.shown_name, value=value, allowed=allowed)


def _texts(parts: list[_Part], charset: str) -> dict[str, str]:
    """Return the texts by name; `_charset_` is no field: it declares the others' charset (RFC 7578, 4.6)."""
    texts = {}
    declared = next((part.data for part in parts if part.name == b"_charset_"), None)
    if declared is not None:
        charset = declared.decode("latin-1").strip()
        check_charset(charset, "_charset_")
    for part in parts:
        if part.is_file or part.name == b"_charset_":
            continue
        name = read_text(part.name, part.shown_name, charset)
        own = parse_options_header(part.headers.get(b"content-type"))[1].get(b"charset")
        texts[name] = read_text(part.data, shown(name), own.decode("latin-1") if own else charset)
    return texts


def _malformed(reason: str) -> InvalidRequest:
    return InvalidRequest("http.malformed", reason=reason)
