"""WebP: the chunks of a RIFF file that are the first picture (RFC 9649); every other chunk is left out."""

from __future__ import annotations

from collections.abc import Iterator

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import (
    EXTRA_SKIPPED,
    MAX_PROFILE,
    PROFILE_IGNORED,
    REPAIRED,
    Cleaned,
    damaged,
    exif_of,
    read_orientation,
    unique,
)

_PICTURE = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
_ICC, _EXIF, _XMP = 0x20, 0x08, 0x04  # flags of VP8X


def clean(data: bytes) -> Cleaned:
    """Return the first picture's chunks; raise `InvalidRequest` (`image.damaged`) if it is cut off."""
    notices: list[Notice] = []
    header, profile, orientation, frames = b"", b"", 1, 0
    pictures: list[tuple[bytes, bytes]] = []
    for kind, body in _chunks(data, notices):
        if kind == b"VP8X":
            header = body
        elif kind == b"ICCP":
            profile = body
        elif kind == b"EXIF":
            orientation = read_orientation(body.removeprefix(b"Exif\0\0"), notices)
        elif kind in _PICTURE:
            frames += kind == b"ANMF"
            if frames <= 1:
                pictures.append((kind, body))
    if not any(kind in (b"VP8 ", b"VP8L", b"ANMF") for kind, _ in pictures):
        raise damaged("its pixels are missing")
    if len(profile) > MAX_PROFILE:
        notices.append(PROFILE_IGNORED)
        profile = b""
    if not header:  # the simple kind has neither profile nor orientation
        return Cleaned(_riff(pictures), unique(notices))
    flags = header[0] & ~(_ICC | _EXIF | _XMP) | (_ICC if profile else 0) | (_EXIF if orientation != 1 else 0)
    chunks = [(b"VP8X", bytes([flags]) + header[1:])]
    chunks += [(b"ICCP", profile)] if profile else []
    chunks += pictures
    chunks += [(b"EXIF", exif_of(orientation))] if orientation != 1 else []
    return Cleaned(_riff(chunks), unique(notices), orientation, frames > 1)


def _chunks(data: bytes, notices: list[Notice]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each chunk. What the file says of its whole length is not relied on."""
    size = 8 + int.from_bytes(data[4:8], "little")
    if size > len(data) + 1:
        notices.append(REPAIRED)
    at, has_picture = 12, False
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at >= size and has_picture:  # behind the end
            notices.append(EXTRA_SKIPPED)
            return
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            if kind in _PICTURE:
                raise damaged("it ends before its pixels do")
            notices.append(REPAIRED)
            return
        yield kind, body
        has_picture = has_picture or kind in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + (length & 1)


def _riff(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [b"WEBP"]
    for kind, body in chunks:
        parts += [kind, len(body).to_bytes(4, "little"), body, b"\0" * (len(body) & 1)]
    whole = b"".join(parts)
    return b"RIFF" + len(whole).to_bytes(4, "little") + whole
