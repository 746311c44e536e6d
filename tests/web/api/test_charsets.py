"""i2v.web.api.charsets: UTF-8 and nothing else, whatever a name is that somebody declares."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.api.charsets import check_query, read_text

PROMPT = "镜头向左"


@pytest.mark.parametrize("declared", ["", "utf-8", "UTF-8", "utf8", " 'Utf-8' "])
def test_utf_8_is_read_with_and_without_its_mark(declared: str) -> None:
    assert read_text(PROMPT.encode(), "prompt", declared) == PROMPT
    assert read_text(PROMPT.encode("utf-8-sig"), "prompt", declared) == PROMPT


@pytest.mark.parametrize("declared", ["us-ascii", "ISO-8859-1", "windows-1252"])
def test_what_libraries_declare_by_themselves_is_read_where_it_is_ascii(declared: str) -> None:
    assert read_text(b"zoom in", "prompt", declared) == "zoom in"
    with pytest.raises(InvalidRequest) as caught:
        read_text("più lento".encode("latin-1"), "prompt", declared)
    assert (caught.value.code, caught.value.params["field"]) == ("http.charset", "prompt")


@pytest.mark.parametrize(
    "declared",
    ["gbk", "gb2312", "GB18030", "big5", "shift_jis", "euc-kr", "utf-16", "utf-7", "undefined", "punycode",
     "idna", "hex", "zip", "rot13", "unicode_escape", "mbcs", "nothing", "\0", "x" * 5000],
)  # fmt: skip
def test_any_other_name_is_refused(declared: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_text(b"zoom in", "prompt", declared)
    assert (caught.value.code, caught.value.params["field"]) == ("http.charset", "prompt")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(PROMPT, "gbk"), ("鏡頭向左", "big5"), ("カメラが左へ", "shift_jis"), ("카메라", "euc-kr"),
     ("la cámara", "latin-1"), ("камера", "cp1251"), (PROMPT, "utf-16")],
)  # fmt: skip
def test_other_bytes_are_refused_though_nothing_is_declared(text: str, encoding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_text(text.encode(encoding), "prompt")
    assert caught.value.code == "http.not_utf8"


def test_a_query_is_utf_8() -> None:
    check_query(b"")
    check_query(b"search=%E7%8C%AB+%20&limit=3&=&&%E7%8C%AB=1")
    with pytest.raises(InvalidRequest) as caught:
        check_query(b"limit=3&search=%C3%A8%C3%A8&cursor=%C3%A8%E8")
    assert caught.value.params["field"] == "cursor"
