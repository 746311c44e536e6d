"""Bodies of requests: from the bytes of a form or of JSON to fields and pictures, none of them judged yet.

Owns what the formats themselves allow: which type of body, which charset, each field once, JSON without NaN.
Which fields there are and what they may be is `GenerationRequest`'s business. Nothing that clients send is
opened as a path or a URL: the name of a picture's file is only kept, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import JsonObject
from i2v.web.api.base64_picture import decode_base64
from i2v.web.api.charsets import check_ascii, check_charset
from i2v.web.api.json_body import parse_object
from i2v.web.api.multipart import FILES, KEYFRAMES, PICTURE, SOUND, receive_form
from i2v.web.api.waiting_place import waiting_place
from i2v.web.context import AppContext

FORM, JSON = "multipart/form-data", "application/json"

# JSON itself says which of these it is in: by its first bytes
_UNICODE = ("utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be")

PICTURE_NAME = "image_name"  # in JSON: what a form says beside its file

T = TypeVar("T")


@dataclass(frozen=True)
class Submitted:
    """What somebody wants to have made of which pictures.

    Attributes:
        fields: of `GenerationRequest`; their `inputs` name the pictures besides `picture`.
        others: those pictures, in the order of `inputs`; then the sound, where the fields have `sound`.
        picture_name: what the client calls the picture's file.
    """

    fields: JsonObject
    picture: bytes
    others: tuple[bytes, ...] = ()
    picture_name: str = ""


async def read_submission(request: Request) -> Submitted:
    """Return what a form or a JSON object says, and the pictures in it.

    In JSON each of `inputs` has its picture as `image`, in base64; in a form it is a file named by its
    role, a keyframe's with its number: keyframe_8. A sound is `sound_file` in both.

    Raises:
        InvalidRequest: `http.*`, or `request.*` and `image.*` about a picture.
        EncodeError: `image.*`: a large body has no place to wait.
    """
    media_type = _media_type(request)
    if media_type == FORM:
        return await read_form(request)
    if media_type == JSON:
        return await _read_body(request, _submitted)
    raise _refused(request, f"{FORM} or {JSON}")


async def read_form(request: Request) -> Submitted:
    if _media_type(request) != FORM:
        raise _refused(request, FORM)
    fields, pictures, names = await _read_files(request, FILES, required=PICTURE)
    others = [name for name in pictures if name not in (PICTURE, SOUND)]
    if others:
        if "inputs" in fields:
            raise InvalidRequest("http.repeated_field", field="inputs")
        fields["inputs"] = [_input(name) for name in others]
    if SOUND in pictures:
        _use_sound(fields)
        others.append(SOUND)
    return Submitted(fields, pictures[PICTURE], tuple(pictures[name] for name in others), names[PICTURE])


def _use_sound(fields: JsonObject) -> None:
    """Have the request use the sound that has come, also where nothing is said of it."""
    if fields.get("sound") in (None, ""):
        fields["sound"] = {}


def _input(name: str) -> JsonObject:
    """Return what a request says of the picture that is the form's part `name`."""
    if name in KEYFRAMES:
        return {"role": "keyframe", "frame": KEYFRAMES[name]}
    return {"role": name}


async def read_fields(request: Request, file: str) -> tuple[JsonObject, bytes | None]:
    """Return the fields of a JSON object, or of a form; then its part `file`, if that was sent as a file."""
    if _media_type(request) != FORM:
        return await read_json(request), None
    fields, pictures, _ = await _read_files(request, frozenset({file}), required=None)
    return fields, pictures.get(file)


async def _read_files(
    request: Request, files: frozenset[str], required: str | None
) -> tuple[JsonObject, dict[str, bytes], dict[str, str]]:
    """Return the texts, the files and the files' names of a form by their parts; see `receive_form`."""
    context = AppContext.of(request)
    content_type = request.headers["content-type"]
    with waiting_place(context.settings.service.data_dir) as place:
        form = await receive_form(content_type, request.stream(), place.write, files, required)
        return dict(form.texts), await place.read_out(form.split, context.unpacking), form.file_names


async def read_json(request: Request) -> JsonObject:
    """Return the JSON object that the body is."""
    return await read_json_as(request, parse_object)


async def read_json_as(request: Request, parse: Callable[[bytes], T]) -> T:
    """Return what `parse` makes of a JSON body, in a thread."""
    if _media_type(request) != JSON:
        raise _refused(request, JSON)
    return await _read_body(request, parse)


async def _read_body(request: Request, parse: Callable[[bytes], T]) -> T:
    """Return what `parse` makes of JSON; it is UTF-8, 16 or 32, and must not be declared as anything else."""
    options = parse_options_header(request.headers["content-type"])[1]
    charset = check_charset(options.get(b"charset", b"").decode("latin-1"), "Content-Type", _UNICODE)

    def checked(body: bytes) -> T:
        check_ascii(body, "Content-Type", charset)
        return parse(body)

    context = AppContext.of(request)
    with waiting_place(context.settings.service.data_dir) as place:
        async for chunk in request.stream():
            await place.write(chunk)
        return await place.read_out(checked, context.unpacking)


def _submitted(body: bytes) -> Submitted:
    return take_pictures(parse_object(body))


def take_pictures(fields: JsonObject) -> Submitted:
    """Take the pictures out of the fields of a JSON object, where they are base64; raise `InvalidRequest`."""
    if "image" not in fields:
        raise InvalidRequest("request.missing_field", field="image")
    picture = decode_base64(fields.pop("image"))
    name = fields.pop(PICTURE_NAME, "")
    if not isinstance(name, str):
        allowed = "the name of a file, as text"
        raise InvalidRequest("request.invalid", field=PICTURE_NAME, value=shown(name), allowed=allowed)
    others = tuple(_other_pictures(fields.get("inputs")))
    if SOUND in fields:
        sound = decode_base64(fields.pop(SOUND), SOUND)
        _use_sound(fields)
        others = (*others, sound)
    return Submitted(fields, picture, others, name)


def _other_pictures(inputs: object) -> Iterator[bytes]:
    """Take the pictures out of `inputs` until one has none; what else is wrong there, the request says."""
    for each in inputs if isinstance(inputs, list) else ():
        if not isinstance(each, dict) or "image" not in each:
            return
        yield decode_base64(each.pop("image"), "inputs.image")


def _media_type(request: Request) -> str:
    """Return the type in small letters; refuse a header that is given twice, and a compressed body."""
    if len(request.headers.getlist("content-type")) > 1:
        raise InvalidRequest("http.repeated_field", field="Content-Type")
    encoding = request.headers.get("content-encoding", "identity").strip()
    if encoding.lower() not in ("", "identity"):
        raise InvalidRequest("http.content_encoding", value=shown(encoding))
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(request: Request, allowed: str) -> InvalidRequest:
    value = shown(request.headers.get("content-type", ""))
    return InvalidRequest("http.media_type", value=value, allowed=allowed)
