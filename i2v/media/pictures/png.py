"""PNG: the chunks that are pixels, each with its checksum proven; every other chunk is left out.

Pillow reads all chunks, and refuses a picture for a text that is long or a checksum that nobody needs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import (
    EXTRA_SKIPPED,
    MAX_PROFILE,
    MAX_TEXT,
    PROFILE_IGNORED,
    REPAIRED,
    Cleaned,
    damaged,
    exif_of,
    read_orientation,
    unique,
)
from i2v.media.pictures.kinds import unreadable

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PNG_PROFILE = 2**20  # bytes, unpacked: Pillow reads no more (`PngImagePlugin.MAX_TEXT_CHUNK`)
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_TEXTS = 64  # so many are looked into


class _Reader:
    """Sorts the chunks of one file."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.kept: dict[bytes, bytes] = {}  # one of each
        self.pixels: list[bytes] = []
        self.orientation = 1
        self.frames = False
        self._texts = 0

    def take(self, kind: bytes, body: bytes, is_whole: bool) -> None:
        if kind == b"IDAT":
            if not is_whole:
                raise damaged("wrong checksum of its pixels")
            self.pixels.append(body)
        elif kind in (b"IHDR", b"PLTE"):
            if not is_whole:
                raise damaged(f"wrong checksum of its {kind.decode()}")
            self.kept.setdefault(kind, body)
        elif not is_whole:
            self.notices.append(REPAIRED)
        elif not kind[0] & 0x20:  # capital: pixels cannot be read without it
            if kind == b"CgBI":
                raise unreadable("PNG as iOS apps have it (CgBI)")
            raise damaged(f"unknown chunk {kind!r}")
        elif kind in (b"tRNS", b"cICP"):
            self.kept.setdefault(kind, body)
        elif kind == b"iCCP":
            self._take_profile(body)
        elif kind == b"eXIf":
            self.orientation = read_orientation(body, self.notices)
        elif kind == b"acTL":
            self.frames = int.from_bytes(body[:4], "big") > 1
        elif kind in _TEXTS or len(body) > MAX_TEXT:
            self._measure(kind, body)

    def _take_profile(self, body: bytes) -> None:
        profile = _unpacked(body.partition(b"\0")[2][1:], _MAX_PNG_PROFILE)
        if profile is None or len(body) > MAX_PROFILE:
            self.notices.append(PROFILE_IGNORED)
        else:
            self.kept.setdefault(b"iCCP", b"icc\0\0" + zlib.compress(profile, 1))

    def _measure(self, kind: bytes, body: bytes) -> None:
        """Notice a text that is very long. None is kept."""
        self._texts += 1
        packed = b""
        if kind == b"zTXt":
            packed = body.partition(b"\0")[2][1:]
        elif kind == b"iTXt":
            flags = body.partition(b"\0")[2]
            packed = flags[2:].split(b"\0", 2)[-1] if flags[:1] == b"\1" else b""
        if self._texts <= _MAX_TEXTS:
            too_long = len(body) > MAX_TEXT or (packed and _unpacked(packed, MAX_TEXT) is None)
            self.notices += [EXTRA_SKIPPED] if too_long else []


def clean(data: bytes) -> Cleaned:
    """Return the pixels' chunks of a PNG; raise `InvalidRequest` (`image.damaged`) if they are not whole."""
    reader = _Reader()
    for kind, body, is_whole in _chunks(data, reader.notices):
        reader.take(kind, body, is_whole)
    if b"IHDR" not in reader.kept or not reader.pixels:
        raise damaged("a part of its pixels is missing")
    order = (b"IHDR", b"cICP", b"iCCP", b"PLTE", b"tRNS")
    chunks = [_chunk(kind, reader.kept[kind]) for kind in order if kind in reader.kept]
    if reader.orientation != 1:
        chunks.append(_chunk(b"eXIf", exif_of(reader.orientation)))
    chunks += [_chunk(b"IDAT", b"".join(reader.pixels)), _chunk(b"IEND", b"")]
    whole = _SIGNATURE + b"".join(chunks)
    coding = reader.kept.get(b"cICP", b"")
    return Cleaned(
        whole,
        unique(reader.notices),
        reader.orientation,
        reader.frames,
        coding=(coding[0], coding[1]) if len(coding) == 4 else None,
    )


def _chunks(data: bytes, notices: list[Notice]) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield (type, content, whether the checksum is right) of each chunk up to the end."""
    at = len(_SIGNATURE)
    view = memoryview(data)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if end + 4 > len(data):  # cut off; whether the pixels are all there is seen when they are unpacked
            if kind == b"IDAT":
                yield kind, bytes(view[at + 8 : end]), True
            break
        crc = int.from_bytes(view[end : end + 4], "big")
        if kind == b"IEND":
            if crc != zlib.crc32(b"IEND") or length:
                notices.append(REPAIRED)
            if any(data[end + 4 : end + 4 + MAX_TEXT]):
                notices.append(EXTRA_SKIPPED)
            return
        yield kind, bytes(view[at + 8 : end]), zlib.crc32(view[at + 4 : end]) == crc
        at = end + 4
    notices.append(REPAIRED)  # there is no end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _unpacked(packed: bytes, limit: int) -> bytes | None:
    """Return what `packed` holds; `None` if that is broken or more than `limit` bytes."""
    unpacking = zlib.decompressobj()
    try:
        body = unpacking.decompress(packed, limit + 1)
    except zlib.error:
        return None
    return body if unpacking.eof and len(body) <= limit else None
