"""HEIC and AVIF: boxes (ISO/IEC 14496-12), in which EXIF and XMP are emptied without moving anything.

Owns the way through the boxes to those two, and how a file says its colours by numbers. Turning the picture
upright and everything about its pixels is done by the libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import EXTRA_SKIPPED, Cleaned, damaged, exif_of, read_orientation, unique
from i2v.media.pictures.kinds import AVIF_BRANDS, HEIC_BRANDS, Kind

# Readers look at the first brand alone, and know these.
_MAJOR = {"HEIF": b"heic", "AVIF": b"avif"}
_KNOWN = {"HEIF": HEIC_BRANDS | {b"mif1", b"msf1"}, "AVIF": AVIF_BRANDS | {b"mif1", b"msf1"}}
_PLAIN = {b"ftyp", b"meta", b"mdat", b"free", b"skip"}  # of a still picture
_TOP = _PLAIN | {b"moov", b"uuid"}  # which may be cut off; the rest is no box at all then
_METADATA = (b"Exif", b"mime", b"uri ")
_MIN_EXIF = 4 + len(exif_of(1))  # bytes: where it begins, and the smallest there is


class _Odd(Exception):
    """A box is not as the standard has it."""


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int  # of its content
    end: int


def clean(data: bytes, kind: Kind) -> Cleaned:
    """Return the file with EXIF and XMP emptied; it is not `is_private` where they could not be found."""
    boxes, end = _top(data)
    if not any(box.kind == b"meta" for box in boxes) and not any(box.kind == b"moov" for box in boxes):
        raise damaged("its description is missing")
    notices = [EXTRA_SKIPPED] if any(data[end : end + 2**20]) else []
    scrubbed = bytearray(data[:end])
    if data[8:12] not in _KNOWN[kind]:
        scrubbed[8:12] = _MAJOR[kind]
    cleaned = Cleaned(bytes(scrubbed), tuple(notices), coding=_coding(data))
    orientation = 1
    try:
        for box in boxes:
            if box.kind == b"meta":
                orientation = max(orientation, _empty(scrubbed, box, notices))
    except (_Odd, IndexError):
        return replace(cleaned, is_private=False)
    is_plain = all(box.kind in _PLAIN for box in boxes)
    return Cleaned(bytes(scrubbed), unique(notices), orientation, is_private=is_plain, coding=cleaned.coding)


def _top(data: bytes) -> tuple[list[_Box], int]:
    """Return the outermost boxes, and where they end: what stands behind is none."""
    boxes: list[_Box] = []
    at = 0
    while at + 8 <= len(data):
        box = _box(data, at, len(data))
        if box is None or (box.end > len(data) and box.kind not in _TOP):
            return boxes, at
        boxes.append(box)
        at = box.end
    return boxes, min(at, len(data))


def _box(data: bytes | bytearray, at: int, end: int) -> _Box | None:
    size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
    if size == 1:
        size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    elif size == 0:
        size = end - at
    if size < start - at:
        return None
    return _Box(bytes(data[at + 4 : at + 8]), start, at + size)


def _within(data: bytearray, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        box = _box(data, start, end)
        if box is None or box.end > end:
            raise _Odd
        yield box
        start = box.end


def _empty(data: bytearray, meta: _Box, notices: list[Notice]) -> int:
    """Overwrite what the items of EXIF and XMP in `meta` hold; return the orientation that counts.

    A turn or mirror that the picture itself has comes before EXIF's (ISO/IEC 23008-12), which would be a
    second one. Programs that make a HEIC of a JPEG leave only EXIF's.
    """
    is_turned = any(data.find(name, meta.start, meta.end) >= 0 for name in (b"irot", b"imir"))
    orientation = 1
    inner = {box.kind: box for box in _within(data, meta.start + 4, meta.end)}
    if b"iinf" not in inner or b"iloc" not in inner:
        return orientation
    items = _metadata_items(data, inner[b"iinf"])
    base = inner[b"idat"].start if b"idat" in inner else 0
    for item, is_inside, offset, length in _places(data, inner[b"iloc"]):
        if item not in items:
            continue
        start = offset + base if is_inside else offset
        if start + length > len(data):
            raise _Odd
        if items[item] == b"Exif" and length >= _MIN_EXIF:  # readers refuse one without a header
            if not is_turned:
                skipped = 4 + int.from_bytes(data[start : start + 4], "big")
                orientation = read_orientation(bytes(data[start + skipped : start + length]), notices)
            data[start : start + length] = bytes(4) + exif_of(orientation) + bytes(length - _MIN_EXIF)
        else:
            data[start : start + length] = b" " * length
    return orientation


def _metadata_items(data: bytearray, iinf: _Box) -> dict[int, bytes]:
    """Return the kind of each item that is metadata, by its number."""
    wide = data[iinf.start] > 0
    found: dict[int, bytes] = {}
    for box in _within(data, iinf.start + (8 if wide else 6), iinf.end):
        version, at = data[box.start], box.start + 4
        if box.kind != b"infe" or version < 2:
            raise _Odd
        size = 4 if version > 2 else 2
        kind = bytes(data[at + size + 2 : at + size + 6])
        if kind in _METADATA:
            found[int.from_bytes(data[at : at + size], "big")] = kind
    return found


def _places(data: bytearray, iloc: _Box) -> Iterator[tuple[int, bool, int, int]]:
    """Yield (item, whether it lies in the box idat, offset, length) of each piece of each item."""
    version, at = data[iloc.start], iloc.start + 4

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > iloc.end:
            raise _Odd
        return int.from_bytes(data[at - size : at], "big")

    sizes = number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)  # which file
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size)
            offset, length = number(offset_size), number(length_size)
            yield item, method == 1, base + offset, length


def _coding(data: bytes) -> tuple[int, int] | None:
    """Return (primaries, transfer) by the numbers of ITU-T H.273, where the file has them."""
    at = data.find(b"colrnclx", 0, 2**20)
    if at < 0:
        return None
    return int.from_bytes(data[at + 8 : at + 10], "big"), int.from_bytes(data[at + 10 : at + 12], "big")
