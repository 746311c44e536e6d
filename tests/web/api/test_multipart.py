"""web.api.multipart: forms as bytes, as browsers, curl and libraries write them, and as they should not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import anyio
import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.api.multipart import FILES, receive_form
from i2v.web.api.multipart import PICTURE as PICTURE_NAME

PART = b"--b\r\nContent-Disposition: form-data; name="
PICTURE = PART + b'"image"; filename="a.jpg"\r\n\r\nPIXELS\r\n'
END = b"--b--\r\n"
PROMPT = "镜头向左"


def text(name: str, value: bytes, headers: bytes = b"") -> bytes:
    return PART + f'"{name}"\r\n'.encode() + headers + b"\r\n" + value + b"\r\n"


class Received(NamedTuple):
    texts: dict[str, str]
    pictures: dict[str, bytes]


def receive(body: bytes, content_type: str = "multipart/form-data; boundary=b", size: int = 7) -> Received:
    written = bytearray()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def write(piece: bytes) -> None:
        written.extend(piece)

    form = anyio.run(receive_form, content_type, chunks(), write, FILES, PICTURE_NAME)
    return Received(form.texts, form.split(bytes(written)))


def refusal(
    body: bytes, content_type: str = "multipart/form-data; boundary=b", size: int = 7
) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        receive(body, content_type, size)
    assert len(caught.value.message) < 600
    return caught.value


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_texts_and_the_picture_arrive_in_pieces_of_any_size(size: int) -> None:
    body = text("prompt", PROMPT.encode()) + PICTURE + text("seed", b"") + END
    assert receive(body, size=size) == Received({"prompt": PROMPT, "seed": ""}, {"image": b"PIXELS"})


def test_a_form_without_its_file_is_one_where_none_is_required() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield text("prompt", b"x") + END

    async def write(piece: bytes) -> None:
        raise AssertionError(piece)

    kind = "multipart/form-data; boundary=b"
    form = anyio.run(receive_form, kind, chunks(), write, frozenset({"image"}), None)
    assert (form.texts, form.split(b"")) == ({"prompt": "x"}, {})


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_pictures_are_told_apart_whatever_stands_between_them(size: int) -> None:
    last = PART + b'"last_image"; filename="b.jpg"\r\n\r\nEND OF IT\r\n'
    body = last + text("prompt", b"x") + PICTURE + END
    received = receive(body, size=size)
    assert received == Received({"prompt": "x"}, {"last_image": b"END OF IT", "image": b"PIXELS"})


# --- charsets


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (PROMPT, "gbk"),
        ("鏡頭向左", "big5"),
        ("カメラ", "shift_jis"),
        ("la cámara", "latin-1"),
        (PROMPT, "utf-16"),
    ],
)
@pytest.mark.parametrize("declared", ["nothing", "form", "part", "field"])
def test_a_text_that_is_not_utf_8_is_refused(value: str, encoding: str, declared: str) -> None:
    header = f"Content-Type: text/plain; charset={encoding}\r\n".encode() if declared == "part" else b""
    body = PICTURE + text("prompt", value.encode(encoding), header)
    if declared == "field":
        body += text("_charset_", encoding.encode())
    of_form = f"; charset={encoding}" if declared == "form" else ""
    error = refusal(body + END, content_type=f"multipart/form-data; boundary=b{of_form}")
    assert error.code in ("http.charset", "http.not_utf8")
    assert error.params["field"] in ("prompt", "Content-Type", "_charset_")
    assert error.code == ("http.not_utf8" if declared == "nothing" else "http.charset")


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "idna", "hex", "zip", "utf-7", "x" * 300, "é", "\0"]
)
def test_a_charset_that_is_none_is_refused(charset: str) -> None:
    whole = refusal(PICTURE + END, content_type=f"multipart/form-data; boundary=b; charset={charset}")
    assert (whole.code, whole.params["field"]) == ("http.charset", "Content-Type")
    header = f"Content-Type: text/plain; charset={charset}\r\n".encode("latin-1")
    part = refusal(PICTURE + text("prompt", b"x", header) + END)
    assert (part.code, part.params["field"]) == ("http.charset", "prompt")
    field = refusal(PICTURE + text("prompt", b"x") + text("_charset_", charset.encode()) + END)
    assert (field.code, field.params["field"]) == ("http.charset", "_charset_")


def test_utf_8_may_be_declared_everywhere() -> None:
    header = b'Content-Type: text/plain; charset="UTF-8"\r\nContent-Transfer-Encoding: 8bit\r\n'
    body = text("_charset_", b"utf-8") + text("prompt", PROMPT.encode(), header) + PICTURE + END
    form = receive(body, "multipart/form-data; charset=UTF-8; boundary=b")
    assert form.texts == {"prompt": PROMPT}


def test_the_name_of_a_field_is_utf_8() -> None:
    error = refusal(PICTURE + PART + b'"' + PROMPT.encode("gbk") + b'"\r\n\r\nx\r\n' + END)
    assert error.code == "http.not_utf8"
    assert "\\xbe" in str(error.params["field"])


def test_the_name_of_the_file_and_the_type_of_the_picture_do_not_matter() -> None:
    name = 'filename="照片.jpg"\r\nContent-Type: image/jpeg; charset=gbk'.encode("gbk")
    assert receive(PART + b'"image"; ' + name + b"\r\n\r\nx\r\n" + END).pictures["image"] == b"x"


# --- what is no form, or not whole


@pytest.mark.parametrize("length", [0, 1, 40, len(PICTURE) - 2, len(PICTURE), len(PICTURE) + 80, -3])
def test_a_form_that_was_cut_off_is_refused(length: int) -> None:
    body = (PICTURE + text("prompt", b"x") + text("seed", b"7") + END).removesuffix(b"\r\n")
    assert refusal(body[:length]).code == "http.malformed"


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 300,
    ],
)
def test_a_boundary_is_needed(content_type: str) -> None:
    assert refusal(PICTURE + END, content_type=content_type).code == "http.malformed"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (END, "request.missing_field", "image"),
        (text("prompt", b"x") + END, "request.missing_field", "image"),
        (PICTURE + PICTURE + END, "http.repeated_field", "image"),
        (PICTURE + text("image", b"x") + END, "http.repeated_field", "image"),
        (text("image", b"\xff\xd8" * 10**6) + END, "request.invalid", "image"),
        (text("image", b"data:image/png;base64,aGk=") + END, "request.invalid", "image"),
        (PICTURE + PART + b'"prompt"; filename="p.txt"\r\n\r\nx\r\n' + END, "request.invalid", "prompt"),
        (PICTURE + text("prompt", b"=E9", b"Content-Transfer-Encoding: quoted-printable\r\n") + END,
         "http.transfer_encoding", "prompt"),
        (PICTURE + text("prompt", b"eA==", b"Content-Transfer-Encoding: BASE64\r\n") + END,
         "http.transfer_encoding", "prompt"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, "http.malformed", None),
        (b"--b\r\n\r\nx\r\n" + END, "http.malformed", None),
        (b"--b\r\nno header\r\n\r\nx\r\n" + END, "http.malformed", None),
        (b"--b\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n" + END, "http.malformed", None),
        (b"--b\r\nA: " + b"b" * 10_000 + b"\r\n\r\nx\r\n" + END, "http.malformed", None),
        (PICTURE + text("prompt", b"x" * 2_000_000) + END, "http.malformed", None),
        (b"".join(text(f"f{n}", b"") for n in range(100)) + END, "http.malformed", None),
        (b"\0" * 100, "http.malformed", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body: bytes, code: str, field: str | None) -> None:
    error = refusal(body, size=100_000)
    assert (error.code, error.params.get("field")) == (code, field)
