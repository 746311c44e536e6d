"""What a browser may send to the page's events: judged here, since Gradio answers a surprise with status 500.

Pure: bytes and texts go in, an error comes out or nothing does. Does not know what an event does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import JsonObject
from i2v.web.api.charsets import check_charset
from i2v.web.api.json_body import parse_object

MAX_BYTES = 500_000  # an event sends some hundred bytes, and some hundred more for each file of a batch
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_JSON, _FORM = "application/json", "multipart/form-data"


def check_event(path: str, body: bytes, functions: Container[int]) -> str | None:
    """Return the session that `body`, sent to `path`, belongs to, if any; raise `InvalidRequest`.

    functions: the numbers of those that there are.
    """
    values = _parse(body)
    address = next(_addresses(values), None)
    if address is not None:
        raise _invalid("path", address, "an uploaded file")
    if path.endswith("/reset"):
        check_name("event_id", values.get("event_id"))
        return None
    session = check_name("session_hash", values.get("session_hash"))
    if path.endswith("/cancel"):
        check_name("event_id", values.get("event_id"))
        if not _is_number(values.get("fn_index")):
            raise _invalid("fn_index", values.get("fn_index"), "a number")
        return None
    number = values.get("fn_index")
    if not _is_number(number) or number not in functions:
        raise _invalid("fn_index", number, "the number of one of the page's functions")
    if not isinstance(values.get("data"), list):
        raise _invalid("data", values.get("data"), "a list")
    return session


def check_name(field: str, name: object) -> str:
    """Return the name of a session or an event as browsers make them up."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid(field, name, "1 to 64 letters, digits, - and _")
    return name


def name_in_query(field: str, query: bytes) -> str:
    """Return the name that `query` gives as `field`, once."""
    found = [value for name, value in parse_qsl(query.decode("latin-1"), True) if name == field]
    if len(found) > 1:
        raise InvalidRequest("http.repeated_field", field=field)
    return check_name(field, found[0] if found else None)


def check_json_type(content_type: str) -> None:
    _options(content_type, _JSON)


def check_form_type(content_type: str) -> None:
    """Raise `InvalidRequest` unless this is a form with files, with a boundary as it is allowed to be."""
    if not _BOUNDARY.fullmatch(_options(content_type, _FORM).get(b"boundary", b"")):
        raise InvalidRequest("http.media_type", value=shown(content_type), allowed=f"{_FORM} with a boundary")


def _options(content_type: str, allowed: str) -> dict[bytes, bytes]:
    """Return what stands behind the media type, if that is `allowed` and the charset is one."""
    media_type, options = parse_options_header(content_type)
    if media_type.decode("latin-1") != allowed:
        raise InvalidRequest("http.media_type", value=shown(content_type), allowed=allowed)
    check_charset(options.get(b"charset", b"").decode("latin-1"), "Content-Type")
    return options


def _parse(body: bytes) -> JsonObject:
    values = parse_object(body)
    try:
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:  # half a surrogate pair cannot be sent back
        raise InvalidRequest("http.malformed", reason=shown(str(error), limit=200)) from error
    return values


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _invalid(field: str, value: object, allowed: str) -> InvalidRequest:
    return InvalidRequest("request.invalid", field=field, value=shown(value), allowed=allowed)


def _addresses(values: JsonObject) -> Iterator[str]:
    """Yield the URLs that stand where Gradio expects the path of a file, and would fetch."""
    waiting: list[object] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "://" in path:
                yield path
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
