"""A picture's file as base64 text, in every form that clients produce and that has one meaning.

Owns alphabets, padding, `data:` URLs and what happens to such a text on its way. What cannot be read, or can
be read in two ways, is refused with the reason. Deliberately does not know pictures: the decoder judges them.
"""

from __future__ import annotations

import base64
import re
import string
from urllib.parse import quote, unquote

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown

# Base64 has no colon and no dot. Of all pictures only JPEG (/9j/) and JPEG XL (/wo) begin with a slash.
_ADDRESS = re.compile(r"(?!data:)(?:[a-z][\w+.-]*:|/(?!9j/|wo)|[^,]*(?:[.~]|\\(?![rn/])))", re.IGNORECASE)
_LONGEST_ADDRESS = 2000  # characters
# data:image/jpeg;base64, with whatever parameters, and what is left of it where clients cut off its beginning
_HEADER = re.compile(r"(?:data:)?.{0,300}?(?:[;:]|\A)\s*base64\s*,", re.IGNORECASE | re.DOTALL)
_MOST_PERCENTS = 100  # of other signs, those of the header
_SHORTEST_LINE = 16  # letters, of a large text
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_LETTERS = string.ascii_letters.encode() + string.digits.encode() + b"+/"


def decode_base64(value: object, field: str = "image") -> bytes:
    """Return the bytes of a base64 text, with or without `data:image/...;base64,` before it.

    Both alphabets are read, with or without padding, in lines, in quotes and percent-encoded. Nothing here
    goes through a large text letter by letter: that would hold up all other threads for seconds.

    Raises:
        InvalidRequest: `request.invalid` for what is no text; `image.*`.
    """
    if not isinstance(value, str):
        allowed = "the picture's file as base64 text, with or without data:image/png;base64, before it"
        raise InvalidRequest("request.invalid", field=field, value=shown(value), allowed=allowed)
    text = _without_percents(_without_quotes(value.strip().strip("\ufeff").strip()))
    if header := _HEADER.match(text):
        text = text[header.end() :]
    elif text[:5].lower() == "data:":
        raise InvalidRequest("image.data_url", value=shown(value))
    elif len(text) < _LONGEST_ADDRESS and _ADDRESS.match(text):
        raise InvalidRequest("image.address", value=shown(value))
    try:
        letters = _joined(text.strip().encode("ascii"), value).translate(_URL_SAFE).rstrip(b"=")
    except UnicodeEncodeError as error:
        sign = shown(text[error.start])
        raise InvalidRequest("image.not_base64", value=shown(value), sign=sign) from error
    if strange := letters.translate(None, _LETTERS):
        raise InvalidRequest("image.not_base64", value=shown(value), sign=shown(chr(strange[0])))
    if len(letters) % 4 == 1:
        raise InvalidRequest("image.base64_cut", value=shown(value), count=len(letters))
    return base64.b64decode(letters + b"=" * (-len(letters) % 4))


def _without_quotes(text: str) -> str:
    bare = text[1:] if text[:2] in ("b'", 'b"') else text  # b'...': how Python prints bytes
    return bare[1:-1].strip() if bare[:1] in ("'", '"') and bare[:1] == bare[-1:] else text


def _without_percents(text: str) -> str:
    for sign in "+/=\r\n ":  # the usual ones: `unquote` takes time and memory for each
        text = text.replace(quote(sign, safe=""), sign).replace(quote(sign, safe="").lower(), sign)
    return unquote(text, errors="replace").strip() if 0 < text.count("%") <= _MOST_PERCENTS else text


def _joined(text: bytes, value: object) -> bytes:
    """Return the text without line breaks and spaces; where spaces were pluses, they are pluses again.

    Reading a form turns + into a space. Such spaces stand irregularly, no + is left, and with them the
    padded text has a multiple of four characters; line breaks that became spaces stand regularly.
    """
    for escape, meant in ((b"\\r", b""), (b"\\n", b""), (b"\\/", b"/")):  # JSON that was escaped twice
        text = text.replace(escape, meant)
    text = text.translate(None, b"\t\n\r\v\f")
    spaces = text.count(b" ")
    if not spaces:
        return text
    if spaces > _LONGEST_ADDRESS + len(text) // _SHORTEST_LINE:  # each piece of such takes fifty bytes
        raise InvalidRequest("image.base64_spaces", value=shown(value))
    pieces = text.split(b" ")
    lengths = {len(piece) for piece in pieces[:-1]}
    in_lines = len(pieces) > 2 and len(lengths) == 1 and len(pieces[-1]) <= max(lengths)
    without, with_pluses = b"".join(pieces), b"+".join(pieces)
    if in_lines or any(sign in text for sign in (b"+", b"-", b"_")):
        return without
    if len(with_pluses) % 4 == 0:
        return with_pluses
    if (text.endswith(b"=") and len(without) % 4 == 0) or len(with_pluses) % 4 == 1:
        return without
    raise InvalidRequest("image.base64_spaces", value=shown(value))
