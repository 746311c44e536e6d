"""JPEG: the segments that are pixels, and whether all of them are there.

Owns the walk from marker to marker (ITU T.81, annex B), how many passes over the pixels a file may ask for,
and how a file whose end is missing is told from half a picture. Decoding is Pillow's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image, ImageChops

from i2v.core.errors import InvalidRequest, Notice
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

MAX_SCANS = 100  # encoders make 1 to about 20; each is a pass over all pixels

_SOI, _EOI, _SOS, _COM, _APP0, _APP1, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xE1, 0xE2, 0xEE
_PROGRESSIVE = 0xC2
_BARE = {0x01, *range(0xD0, 0xD8)}  # markers without content
# In the pixels, FF is followed by 00 or by a restart marker; after the scan stands the next marker.
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# What cameras add behind a photo by design: further pictures, a short film, an index.
_MADE_LONGER = (b"MPF\0", b"MotionPhoto", b"MicroVideo", b"GContainer", b"Container:Directory")
_FILLER = bytes(range(1, 250)) * 16  # no FF in it


@dataclass
class _Reader:
    """What was found on the way."""

    notices: list[Notice] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    profile: dict[int, bytes] = field(default_factory=dict)  # the segments of the colour profile, by number
    profile_count: int = 0
    orientation: int = 1
    frame: int = 0
    scans: int = 0
    ends: bool = False
    is_made_longer: bool = False
    missing_bits: dict[tuple[int, int], int] = field(default_factory=dict)  # by (component, coefficient)


def clean(data: bytes) -> Cleaned:
    """Return the segments of a JPEG that are its pixels.

    Raises `InvalidRequest`: `image.damaged`, `image.too_many_scans`.
    """
    reader = _Reader()
    end = 2
    for marker, start, end in _segments(data):
        _take(reader, marker, data[start:end])
        if marker == _EOI:
            reader.ends = True
            break
    if not reader.scans:
        raise damaged("its pixels are missing")
    if not reader.ends:
        reader.notices.append(REPAIRED)
        reader.kept[-1] = reader.kept[-1].rstrip(b"\xff")  # half a marker
        if any(reader.missing_bits.values()):
            raise damaged("a part of its pixels is missing")
    elif any(data[end : end + 2**20]) and not (reader.is_made_longer or data.endswith(b"SEFT")):
        reader.notices.append(EXTRA_SKIPPED)
    head = [b"\xff\xd8", *_described(reader)]
    whole = b"".join([*head, *reader.kept, b"\xff\xd9"])
    return Cleaned(whole, unique(reader.notices), reader.orientation, is_sure=reader.ends)


def is_whole(cleaned: bytes) -> bool:
    """Return whether the last scan of a JPEG, to which an end was added, holds all its pixels.

    libjpeg reads zeros where pixels are missing, and ignores what stands behind the last one. So other
    bytes before the end change the picture exactly if pixels are missing. The restart marker that would come
    next stands among them, since nothing but that is read where one is due.
    """
    restarts = len(_RESTART.findall(cleaned, cleaned.rindex(b"\xff\xda")))
    filled = cleaned[:-2] + _FILLER + bytes([0xFF, 0xD0 + restarts % 8]) + _FILLER + cleaned[-2:]
    with (
        Image.open(io.BytesIO(cleaned), formats=("JPEG",)) as as_it_is,
        Image.open(io.BytesIO(filled), formats=("JPEG",)) as with_more,
    ):
        return ImageChops.difference(as_it_is, with_more).getbbox() is None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment after the first marker; a scan includes its pixels."""
    at = 2
    while at < len(data):
        at = data.find(b"\xff", at)  # libjpeg passes over other bytes too
        if at < 0:
            return
        start = at
        while data[at : at + 1] == b"\xff":
            at += 1
        if at >= len(data):
            return
        marker = data[at]
        at += 1
        if marker == 0 or marker in _BARE or marker == _SOI:
            continue
        if marker == _EOI:
            yield marker, at - 2, at
            return
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + max(2, length)
        if end > len(data) or len(data) - at < 2:
            if marker == _SOS or not _is_extra(marker):
                raise damaged("it ends before its pixels do")
            return
        if marker == _SOS:
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
        yield marker, start, end
        at = end


def _is_extra(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == _COM


def _take(reader: _Reader, marker: int, segment: bytes) -> None:
    body = segment.lstrip(b"\xff")[3:]  # behind the marker and the length
    if marker == _APP1 and body.startswith(b"Exif\0"):
        reader.orientation = read_orientation(body[6:], reader.notices)
    elif marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
        reader.profile.setdefault(body[12] if len(body) > 12 else 0, segment)
        reader.profile_count = max(reader.profile_count, body[13] if len(body) > 13 else 0)
    elif _is_extra(marker):
        reader.is_made_longer = reader.is_made_longer or any(sign in body for sign in _MADE_LONGER)
        if (marker == _APP0 and body.startswith(b"JFIF\0")) or (
            marker == _APP14 and body.startswith(b"Adobe")
        ):
            reader.kept.append(segment)
    elif marker != _EOI:
        reader.kept.append(segment)
        if marker == _SOS:
            _count_scan(reader, body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            reader.frame = marker
            components = body[6 : 6 + 3 * body[5] : 3] if len(body) > 5 else b""
            reader.missing_bits = {(each, index): 1 for each in components for index in range(64)}


def _count_scan(reader: _Reader, body: bytes) -> None:
    """Note what a scan brings (B.2.3): which components, which coefficients, down to which bit."""
    reader.scans += 1
    if reader.scans > MAX_SCANS:
        raise InvalidRequest("image.too_many_scans", allowed=MAX_SCANS)
    count = body[0] if body else 0
    parameters = body[1 + 2 * count : 4 + 2 * count]
    if len(parameters) < 3:
        raise damaged("the header of a scan is cut off")
    first, last, low_bit = parameters[0], min(parameters[1], 63), parameters[2] & 15
    if reader.frame != _PROGRESSIVE:
        first, last, low_bit = 0, 63, 0
    for component in body[1 : 1 + 2 * count : 2]:
        reader.missing_bits.update({(component, index): low_bit for index in range(first, last + 1)})


def _described(reader: _Reader) -> Iterator[bytes]:
    """Yield the segments that say how the pixels are meant: the orientation, and the profile if whole."""
    if reader.orientation != 1:
        exif = b"Exif\0\0" + exif_of(reader.orientation)
        yield b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    if not reader.profile:
        return
    numbers = sorted(reader.profile)
    is_complete = numbers == list(range(1, reader.profile_count + 1))
    if is_complete and sum(map(len, reader.profile.values())) <= MAX_PROFILE:
        for number in numbers:
            yield reader.profile[number]
    else:
        reader.notices.append(PROFILE_IGNORED)
