"""`i2v.web.api.json_body`: what is let through, what is not, and how long it takes to say so."""

from __future__ import annotations

import base64
import json
import random
import time

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.api.json_body import MAX_DEPTH, MAX_VALUES, check_shape


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def random_value(source: random.Random, depth: int) -> object:
    kind = source.randrange(7 if depth else 4)
    if kind == 0:
        return source.randrange(-9, 99)
    if kind in (1, 2):
        return "".join(source.choices('ab"\\[]{},: é', k=source.randrange(6)))
    if kind == 3:
        return source.choice([None, True, 0.5])
    if kind in (4, 5):
        return [random_value(source, depth - 1) for _ in range(source.randrange(4))]
    return {f'{n}"[\\': random_value(source, depth - 1) for n in range(source.randrange(4))}


def test_the_depth_is_that_of_the_parsed_value_whatever_stands_in_texts() -> None:
    source = random.Random(16)
    for _ in range(500):
        value = random_value(source, 8)
        body = json.dumps(value, ensure_ascii=source.random() < 0.5).encode()
        depth = depth_of(value)
        check_shape(body, max_depth=depth)
        if depth:
            with pytest.raises(InvalidRequest) as caught:
                check_shape(body, max_depth=depth - 1)
            assert caught.value.code == "http.malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MAX_DEPTH + 1),
        b"[" * 24_000_000,
        b"[],".join([b"["] * 8_000_000),
        b"{" + b'"a":1,' * MAX_VALUES + b"}",
        b'"",' * 8_000_000,
        b'""' * 12_000_000,
        b'["' + rb"\"" * 12_000_000 + b'"]',
        b"[" + b"1," * 12_000_000 + b"1]",
    ],
    ids=["deep", "only depth", "lists", "keys", "texts", "quotes", "escaped quotes", "numbers"],
)
def test_too_much_is_refused_soon(body: bytes) -> None:
    began = time.thread_time()
    with pytest.raises(InvalidRequest) as caught:
        check_shape(body)
    assert caught.value.code == "http.malformed"
    assert time.thread_time() - began < 1


def test_a_large_picture_in_base64_is_let_through_at_once() -> None:
    picture = base64.b64encode(bytes(50_000_000)).decode()
    body = json.dumps({"image": picture, "prompt": 'a "quoted" [text]'}).encode()
    began = time.thread_time()
    check_shape(body)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    "body", [b"", b'"', b'"\\', b'{"a', b"]]]]", b"\xff\xfe", b'"' + b"\\" * 200_001 + b'"[']
)
def test_what_is_no_json_is_left_to_the_parser(body: bytes) -> None:
    check_shape(body)


def test_many_backslashes_before_a_quote_are_counted_to_the_last() -> None:
    for count in (62, 63, 64, 65, 128, 1001):
        body = b'["' + b"\\" * count + b'"' + b"[" * MAX_DEPTH  # even: the text has ended
        if count % 2:
            check_shape(body)
        else:
            with pytest.raises(InvalidRequest):
                check_shape(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_other_encodings_of_json_hide_nothing(encoding: str) -> None:
    """The sign has the byte of a quote in UTF-16 and 32."""
    text = '["\u2222", ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + ', "字"]'
    with pytest.raises(InvalidRequest):
        check_shape(text.encode(encoding))
    check_shape('["\u2222", [[]], "字字字"]'.encode(encoding), max_depth=3)
