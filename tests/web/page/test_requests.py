"""`i2v.web.page.requests`: what a browser sends is let through, every surprise is an error with its field."""

from __future__ import annotations

import encodings
import json
import pkgutil

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.page.requests import check_event, check_form_type, check_json_type, name_in_query

JOIN, CANCEL, RESET = "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"
EVENT = {"data": [], "fn_index": 3, "session_hash": "abc", "event_data": None, "trigger_id": None}
FUNCTIONS = {3}
NAMES: list[object] = ["", " ", "x" * 65, "../x", "a b", "é", "\ud800", "\0", None, 1, True, [], {}, ["a"]]


def code_of(path: str, body: object) -> tuple[str, object]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidRequest) as caught:
        check_event(path, text, FUNCTIONS)
    return caught.value.code, caught.value.params.get("field")


def test_what_the_page_sends_is_let_through() -> None:
    assert check_event(JOIN, json.dumps(EVENT).encode(), FUNCTIONS) == "abc"
    cancel = {"session_hash": "abc", "fn_index": 3, "event_id": "e1"}
    assert check_event(CANCEL, json.dumps(cancel).encode(), FUNCTIONS) is None
    assert check_event(RESET, b'{"event_id": "e1"}', FUNCTIONS) is None


@pytest.mark.parametrize("path", [JOIN, CANCEL, RESET])
@pytest.mark.parametrize("value", NAMES)
def test_names_that_no_browser_makes_up_are_refused(path: str, value: object) -> None:
    field = "event_id" if path == RESET else "session_hash"
    code, about = code_of(path, {**EVENT, "event_id": "e1"} | {field: value})
    assert code in ("request.invalid", "http.malformed")
    assert about in (field, None)


@pytest.mark.parametrize("number", [None, "3", 4, -1, 3.0, True, [], 10**30])
def test_functions_that_are_not_there_are_refused(number: object) -> None:
    assert code_of(JOIN, EVENT | {"fn_index": number}) == ("request.invalid", "fn_index")


@pytest.mark.parametrize("data", [None, "x", 1, {}])
def test_values_come_in_a_list(data: object) -> None:
    assert code_of(JOIN, EVENT | {"data": data}) == ("request.invalid", "data")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"a=b", b'{"data": [NaN]}',
        b'{"a": [Infinity]}',
        b'{"a": ' + b"1" * 5000 + b"}", b'{"a": "\\ud800"}', b"[" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [JOIN, CANCEL, RESET])
def test_what_is_no_json_object_is_refused(path: str, body: bytes) -> None:
    assert code_of(path, body) == ("http.malformed", None)


@pytest.mark.parametrize(
    "query", [b"", b"session_hash", b"session_hash=", b"session_hash=%00", b"x=1", b"session_hash=a/b"]
)
def test_a_query_names_one_session(query: bytes) -> None:
    assert name_in_query("session_hash", b"x=1&session_hash=a1") == "a1"
    with pytest.raises(InvalidRequest) as caught:
        name_in_query("session_hash", query)
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", "session_hash")


def test_a_query_that_names_two_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        name_in_query("session_hash", b"session_hash=a&session_hash=a")
    assert caught.value.code == "http.repeated_field"


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "us-ascii"])
def test_utf_8_is_read_under_its_names(charset: str) -> None:
    check_json_type(f"application/json; charset={charset}")
    check_form_type(f"multipart/form-data; boundary=x; charset={charset}")


def test_every_other_encoding_that_python_knows_is_refused() -> None:
    names = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    names -= {"aliases", "ascii", "utf_8", "cp1252"}
    assert {"undefined", "punycode", "idna", "hex_codec", "rot_13", "utf_7"} < names
    for name in (*names, "utf-7", "rot13", "zip", "x" * 300, "%", ""):
        if name:
            for check, kind in (
                (check_json_type, "application/json"),
                (check_form_type, "multipart/form-data; boundary=x"),
            ):
                with pytest.raises(InvalidRequest) as caught:
                    check(f"{kind}; charset={name}")
                assert caught.value.code == "http.charset"


@pytest.mark.parametrize(
    "content_type",
    [
        "", "text/plain", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}", "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=x, multipart/form-data; boundary=y; charset=hex",
    ],
)  # fmt: skip
def test_a_form_has_a_boundary(content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        check_form_type(content_type)


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data; boundary=x"])
def test_json_is_called_json(content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        check_json_type(content_type)
