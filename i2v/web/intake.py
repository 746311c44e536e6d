"""Bodies of requests: from the bytes of a form or of JSON to fields and a picture, none of them judged yet.

Owns what the formats themselves allow: which type of body, each field once, JSON without NaN, base64. Which
fields there are and what they may be is `GenerationRequest`'s business. Names of files that clients send are
not looked at, and nothing they send is opened as a path or a URL.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections import Counter

import anyio.to_thread
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from i2v.errors import InvalidRequest
from i2v.jobs import JsonObject
from i2v.schema import shown

FORM, JSON = "multipart/form-data", "application/json"
MAX_PARTS = 64  # the request has some fifteen fields


async def read_submission(request: Request) -> tuple[JsonObject, bytes]:
    """Return the fields of a form or of a JSON object, and the picture that is its `image`.

    Raises:
        InvalidRequest: `http.*`, or `request.*` about `image`.
    """
    if _media_type(request) == FORM:
        return await read_form(request)
    if _media_type(request) == JSON:
        body = await request.body()
        return await anyio.to_thread.run_sync(_fields_and_picture, body)
    raise _refused(request, f"{FORM} or {JSON}")


async def read_form(request: Request) -> tuple[JsonObject, bytes]:
    if _media_type(request) != FORM:
        raise _refused(request, FORM)
    async with request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS) as form:
        fields = _once_each(form)
        image = fields.pop("image", None)
        if image is None:
            raise InvalidRequest("request.missing_field", field="image")
        if not isinstance(image, UploadFile):
            allowed = "a file; with curl: -F image=@photo.jpg"
            raise InvalidRequest("request.invalid", field="image", value=shown(image), allowed=allowed)
        for name, value in fields.items():
            if isinstance(value, UploadFile):
                raise InvalidRequest(
                    "request.invalid", field=shown(name), value="a file", allowed="plain text"
                )
        return fields, await image.read()


def _once_each(form: FormData) -> JsonObject:
    for name, count in Counter(name for name, _ in form.multi_items()).items():
        if count > 1:  # the framework takes the last one
            raise InvalidRequest("http.repeated_field", field=shown(name))
    return dict(form)


async def read_json(request: Request) -> JsonObject:
    """Return the JSON object that the body is."""
    if _media_type(request) != JSON:
        raise _refused(request, JSON)
    return await anyio.to_thread.run_sync(parse_object, await request.body())


def parse_object(body: bytes) -> JsonObject:
    try:
        values = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except RecursionError as error:
        raise InvalidRequest("http.malformed", reason="it is nested too deeply") from error
    except ValueError as error:  # broken JSON, no UTF-8, an integer of more digits than Python reads
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


def _fields_and_picture(body: bytes) -> tuple[JsonObject, bytes]:
    fields = parse_object(body)
    if "image" not in fields:
        raise InvalidRequest("request.missing_field", field="image")
    return fields, decode_base64(fields.pop("image"))


def decode_base64(value: object) -> bytes:
    """Return the bytes of a base64 text, with or without `data:image/...;base64,` before it."""
    if isinstance(value, str):
        text = re.sub(r"\Adata:[^,]{0,100};base64,", "", value)
        with contextlib.suppress(ValueError):
            return base64.b64decode("".join(text.split()), validate=True)
    allowed = "a picture's file in base64, with or without data:image/png;base64, before it"
    raise InvalidRequest("request.invalid", field="image", value=shown(value), allowed=allowed)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(request: Request, allowed: str) -> InvalidRequest:
    value = shown(request.headers.get("content-type", ""))
    return InvalidRequest("http.media_type", value=value, allowed=allowed)
