"""Texts in requests are UTF-8: anything else is refused, never guessed. Does not know where a text stands.

A wrong guess would be accepted as a prompt of other letters. Python's codecs are not asked by the names that
strangers send: some of them are no charsets (`undefined`, `punycode`, `zip`).
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown

UTF_8 = ("utf-8", "utf8")
# What libraries declare of themselves, whatever the text. Up to 127, their codes are those of UTF-8.
_ASCII_OR_MORE = (
    "us-ascii",
    "ascii",
    "iso-8859-1",
    "iso8859-1",
    "latin-1",
    "latin1",
    "windows-1252",
    "cp1252",
)


def check_charset(declared: str, field: str, more: tuple[str, ...] = ()) -> str:
    """Return the declared charset in small letters ("": none); raise `http.charset` if it is not read here.

    Args:
        field: the part of the request that declares it.
        more: names that are read here too.
    """
    charset = declared.strip().strip("'\"").lower()
    if charset and charset not in (*UTF_8, *_ASCII_OR_MORE, *more):
        raise InvalidRequest("http.charset", field=field, value=shown(declared))
    return charset


def check_ascii(data: bytes | bytearray, field: str, charset: str) -> None:
    """Raise `http.charset` if `charset` is one of which only ASCII is read, and `data` is more."""
    if charset in _ASCII_OR_MORE and not data.isascii():
        raise InvalidRequest("http.charset", field=field, value=shown(charset))


def read_text(data: bytes | bytearray, field: str, declared: str = "") -> str:
    """Return the text; a byte order mark before it is dropped.

    Raises:
        InvalidRequest: `http.charset`, `http.not_utf8`, about `field`.
    """
    check_ascii(data, field, check_charset(declared, field))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("http.not_utf8", field=field) from error


def check_query(query: bytes) -> None:
    """Raise `http.not_utf8` for a parameter of a URL that is not UTF-8: frameworks replace its letters."""
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        field = shown(unquote_to_bytes(name).decode("utf-8", "backslashreplace"))
        read_text(unquote_to_bytes(name), field)
        read_text(unquote_to_bytes(value), field)
