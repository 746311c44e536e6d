"""A picture's file as base64 text, in every form that clients produce and that has one meaning.

Owns alphabets, padding, `data:` URLs and what happens to such a text on its way. What cannot be read, or can
be read in two ways, is refused with the reason. Deliberately does not know pictures: the decoder judges them.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from i2v.errors import InvalidRequest
from i2v.schema import shown

_QUOTED = re.compile(r"""b?(["'])(.*)\1""", re.DOTALL)  # b'...': how Python prints bytes
# Base64 has no colon and no dot. Of all pictures only JPEG (/9j/) and JPEG XL (/wo) begin with a slash.
_ADDRESS = re.compile(r"(?!data:)(?:[a-z][\w+.-]*:|/(?!9j/|wo)|[^,]*(?:[.~]|\\(?![rn/])))", re.IGNORECASE)
_LONGEST_ADDRESS = 2000  # characters
# data:image/jpeg;base64, with whatever parameters, and what is left of it where clients cut off its beginning
_HEADER = re.compile(r"(?:data:)?.{0,300}?(?:[;:]|\A)\s*base64\s*,", re.IGNORECASE | re.DOTALL)
_URL_SAFE = str.maketrans("-_", "+/")
_STRANGE = re.compile(r"[^A-Za-z0-9+/]")


def decode_base64(value: object) -> bytes:
    """Return the bytes of a base64 text, with or without `data:image/...;base64,` before it.

    Both alphabets are read, with or without padding, in lines, in quotes and percent-encoded.

    Raises:
        InvalidRequest: `request.invalid` for what is no text; `image.*`.
    """
    if not isinstance(value, str):
        allowed = "a text: the picture's file in base64, with or without data:image/png;base64, before it"
        raise InvalidRequest("request.invalid", field="image", value=shown(value), allowed=allowed)
    text = value.strip().strip("\ufeff").strip()
    if quoted := _QUOTED.fullmatch(text):
        text = quoted[2].strip()
    if "%" in text:
        text = unquote_to_bytes(text).decode("utf-8", "replace").strip()
    if header := _HEADER.match(text):
        text = text[header.end() :]
    elif text[:5].lower() == "data:":
        raise InvalidRequest("image.data_url", value=shown(value))
    elif len(text) < _LONGEST_ADDRESS and _ADDRESS.match(text):
        raise InvalidRequest("image.address", value=shown(value))
    letters = _joined(text, value).translate(_URL_SAFE).rstrip("=")
    if strange := _STRANGE.search(letters):
        sign, position = shown(strange.group()), strange.start() + 1
        raise InvalidRequest("image.not_base64", value=shown(value), sign=sign, position=position)
    if len(letters) % 4 == 1:
        raise InvalidRequest("image.base64_cut", value=shown(value), count=len(letters))
    return base64.b64decode(letters + "=" * (-len(letters) % 4))


def _joined(text: str, value: object) -> str:
    """Return the text without line breaks and spaces; where spaces were pluses, they are pluses again.

    Reading a form turns + into a space. Such spaces stand irregularly, no + is left, and with them the
    padded text has a multiple of four characters; line breaks that became spaces stand regularly.
    """
    text = re.sub(r"\\[rn]|[^\S ]+", "", text.strip()).replace("\\/", "/")  # also as JSON escapes them
    if " " not in text:
        return text
    pieces = text.split(" ")
    lengths = {len(piece) for piece in pieces[:-1]}
    in_lines = len(pieces) > 2 and len(lengths) == 1 and len(pieces[-1]) <= max(lengths)
    without, with_pluses = "".join(pieces), "+".join(pieces)
    if in_lines or any(sign in text for sign in "+-_"):
        return without
    if len(with_pluses) % 4 == 0:
        return with_pluses
    if (text.endswith("=") and len(without) % 4 == 0) or len(with_pluses) % 4 == 1:
        return without
    raise InvalidRequest("image.base64_spaces", value=shown(value))
