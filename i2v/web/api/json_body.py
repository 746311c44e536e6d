"""JSON bodies: from bytes to an object without NaN and repeated names, of bounded depth and number of values.

Depth and number are seen before anything is parsed: a parsed value takes a hundred times the bytes that it
was sent in, and the parser holds the interpreter's lock meanwhile. Strings may be as long as the body: a
picture in base64 is one value. Does not know what the object is for.
"""

from __future__ import annotations

import json
from collections import Counter

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import JsonObject

MAX_DEPTH = 32
MAX_VALUES = 50_000  # no list of files is as long; parsed, they take a few MB and some 20 ms

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_object(body: bytes) -> JsonObject:
    """Return the JSON object that `body` is; raise `InvalidRequest` (`http.*`)."""
    check_shape(body)
    try:
        values = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except RecursionError as error:
        raise InvalidRequest("http.malformed", reason="it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("http.not_utf8", field="body") from error
    except ValueError as error:  # broken JSON, an integer of more digits than Python reads
        raise InvalidRequest("http.malformed", reason=shown(str(error), limit=200)) from error
    if not isinstance(values, dict):
        raise InvalidRequest("http.malformed", reason="it is not a JSON object")
    return values


def _no_constant(name: str) -> object:
    raise InvalidRequest("http.malformed", reason=f"{name} is not JSON")


def _no_repetition(pairs: list[tuple[str, object]]) -> JsonObject:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise InvalidRequest("http.repeated_field", field=shown(name))
    return dict(pairs)


def check_shape(body: bytes, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> None:
    """Raise `InvalidRequest` (`http.malformed`) if `body` is nested too deeply or has too many values."""
    body = _in_utf8(body)
    depth = values = position = 0
    while position < len(body):
        quote = body.find(b'"', position)
        end = len(body) if quote < 0 else quote
        brackets = body[position:end].translate(None, _NO_BRACKETS)
        values += 1 + body.count(b",", position, end) + len(brackets)
        if values > max_values:
            raise InvalidRequest("http.malformed", reason=f"it has more than {max_values} values")
        for bracket in brackets:
            depth += 1 if bracket in b"[{" else -1
            if depth > max_depth:
                raise InvalidRequest("http.malformed", reason="it is nested too deeply")
        if quote < 0:
            return
        position = _end_of_string(body, quote + 1, max_values)


def _in_utf8(body: bytes) -> bytes:
    """Return `body` in UTF-8 as the parser would understand it; JSON may be in UTF-16 and 32, too."""
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        return body
    return body.decode(encoding, "replace").encode("utf-8", "replace")


def _end_of_string(body: bytes, start: int, max_quotes: int) -> int:
    """Return where what follows the string begins; quotes within it are looked at one by one."""
    position = start
    for _ in range(max_quotes):
        quote = body.find(b'"', position)
        if quote < 0:
            return len(body)
        before = body[position:quote]
        position = quote + 1
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:  # it is not escaped
            return position
    raise InvalidRequest("http.malformed", reason=f"a text in it has more than {max_quotes} quotes")
