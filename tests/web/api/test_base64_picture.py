"""i2v.web.api.base64_picture: every text with one meaning is read, all others are refused by name."""

from __future__ import annotations

import base64
import random
import time
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.api.base64_picture import decode_base64

# Like a JPEG: its base64 begins with a slash. Lengths that need two, one and no signs of padding.
PICTURES = [b"\xff\xd8\xff\xe0" + random.Random(length).randbytes(length) for length in (6000, 6001, 6002)]


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def in_lines(raw: bytes, end: str) -> str:
    return base64.encodebytes(raw).decode().replace("\n", end)


READ: dict[str, Callable[[bytes], str]] = {
    "plain": encoded,
    "lines": lambda raw: in_lines(raw, "\n"),
    "lines of Windows": lambda raw: in_lines(raw, "\r\n"),
    "lines that became spaces": lambda raw: in_lines(raw, " "),
    "lines, escaped twice": lambda raw: in_lines(raw, "\\n"),
    "slashes, escaped twice": lambda raw: encoded(raw).replace("/", "\\/"),
    "other alphabet": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "other alphabet, no padding": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    "no padding": lambda raw: encoded(raw).rstrip("="),
    "too much padding": lambda raw: encoded(raw) + "==",
    "after spaces": lambda raw: "  \n" + encoded(raw) + "\n",
    "after a byte order mark": lambda raw: "\ufeff" + encoded(raw),
    "in quotes": lambda raw: f'"{encoded(raw)}"',
    "as Python prints bytes": lambda raw: f"b'{encoded(raw)}'",
    "one space": lambda raw: f"{encoded(raw)[:101]} {encoded(raw)[101:]}",
    "pluses that became spaces": lambda raw: encoded(raw).replace("+", " "),
    "data URL": lambda raw: f"data:image/jpeg;base64,{encoded(raw)}",
    "data URL, pluses that became spaces": lambda raw: f"data:image/jpeg;base64,{encoded(raw)}".replace(
        "+", " "
    ),
    "data URL of another type": lambda raw: f"data:image/png;base64,{encoded(raw)}",
    "data URL without a type": lambda raw: f"data:;base64,{encoded(raw)}",
    "data URL with a charset": lambda raw: f"data:image/jpeg;charset=utf-8;base64,{encoded(raw)}",
    "data URL with a name": lambda raw: f"data:image/jpeg;name=a b.jpg;base64,{encoded(raw)}",
    "data URL with a comma in a name": lambda raw: f'data:image/jpeg;name="a, b.jpg";base64,{encoded(raw)}',
    "data URL in capitals": lambda raw: f"DATA:IMAGE/JPEG;BASE64,{encoded(raw)}",
    "data URL with spaces": lambda raw: f" data:image/jpeg; base64, {encoded(raw)}",
    "data URL, percent-encoded": lambda raw: f"data:image/jpeg;base64,{quote(encoded(raw), safe='')}",
    "data URL, all percent-encoded": lambda raw: quote(f"data:image/jpeg;base64,{encoded(raw)}", safe=""),
    "data URL without its beginning": lambda raw: f"image/jpeg;base64,{encoded(raw)}",
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("raw", PICTURES, ids=len)
def test_what_clients_produce_is_read(kind: str, raw: bytes) -> None:
    assert {"+", "/"} <= set(encoded(raw))
    assert decode_base64(READ[kind](raw)) == raw


@pytest.mark.parametrize("text", ["", " ", "data:image/png;base64,", '""'])
def test_nothing_is_no_bytes(text: str) -> None:
    assert decode_base64(text) == b""


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "request.invalid"),
        (7, "request.invalid"),
        (True, "request.invalid"),
        ([255, 216, 255], "request.invalid"),
        (["aGk="], "request.invalid"),
        ({"data": "aGk="}, "request.invalid"),
        ("https://example.com/a.jpg", "image.address"),
        ("s3://bucket/a", "image.address"),
        ("blob:https://example.com/1-2", "image.address"),
        ("file:///etc/passwd", "image.address"),
        ("/etc/passwd", "image.address"),
        ("../photo", "image.address"),
        ("~/photo", "image.address"),
        ("photo.jpg", "image.address"),
        ("C:\\photos\\a", "image.address"),
        ("data:image/png,abcd", "image.data_url"),
        ("data:image/svg+xml;utf8,<svg/>", "image.data_url"),
        ("照片", "image.not_base64"),
        ("\ud800", "image.not_base64"),
        ("%%%", "image.not_base64"),
        ("<img>", "image.not_base64"),
        ("aGk=aGk=", "image.not_base64"),  # two texts, one after the other
        ("aGkaG", "image.base64_cut"),
        (encoded(PICTURES[0]).replace("+", " ").rstrip("="), "image.base64_spaces"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_what_cannot_be_read_is_named(value: object, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_base64(value)
    assert caught.value.code == code
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "text", ["%41" * 5_000_000, "a " * 8_000_000, "; " * 8_000_000, ";" + " " * 16_000_000 + "x"]
)
def test_a_large_text_that_is_none_takes_little_time_and_memory(text: str) -> None:
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(InvalidRequest):
            decode_base64(text)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(text)
    finally:
        tracemalloc.stop()
    assert time.thread_time() - began < 2


def test_lines_of_a_large_text_may_be_percent_encoded() -> None:
    raw = bytes(range(256)) * 2000
    assert decode_base64(quote(base64.encodebytes(raw).decode(), safe="")) == raw
