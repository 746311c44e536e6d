"""GIF: the first picture with its palette; comments, applications' data and further pictures are left out.

Pillow joins a GIF's comments byte by byte, which takes minutes for some megabytes of them.
"""

from __future__ import annotations

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import EXTRA_SKIPPED, MAX_TEXT, REPAIRED, Cleaned, damaged, unique

_EXTENSION, _PICTURE, _TRAILER, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9


def clean(data: bytes) -> Cleaned:
    """Return the first picture of a GIF; raise `InvalidRequest` (`image.damaged`) if there is none."""
    if len(data) < 13:
        raise damaged("its pixels are missing")
    at = 13 + _palette(data[10])
    head, control = data[:at], b""
    notices: list[Notice] = []
    while at < len(data) and data[at] != _PICTURE:
        if data[at] != _EXTENSION:
            raise damaged("its pixels are missing")
        end, _ = _sub_blocks(data, at + 2)
        if data[at + 1 : at + 2] == bytes([_CONTROL]):
            control = data[at:end]
        elif end - at > MAX_TEXT:
            notices.append(EXTRA_SKIPPED)
        at = end
    if at + 10 > len(data):
        raise damaged("its pixels are missing")
    end, is_closed = _sub_blocks(data, at + 10 + _palette(data[at + 9]) + 1)
    picture = data[at:end] if is_closed else data[at:end] + b"\0"
    more = _has_more(data, end, notices)
    return Cleaned(head + control + picture + b";", unique(notices), frames=more)


def _palette(flags: int) -> int:
    """Return how many bytes of colours follow."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> tuple[int, bool]:
    """Return where the blocks from `at` on end, and whether the file says so."""
    while at < len(data):
        length = data[at]
        if length == 0:
            return at + 1, True
        at += 1 + length
    return len(data), False


def _has_more(data: bytes, at: int, notices: list[Notice]) -> bool:
    """Return whether another picture follows."""
    while at < len(data) and data[at] == _EXTENSION:
        start = at
        at, _ = _sub_blocks(data, at + 2)
        if at - start > MAX_TEXT:
            notices.append(EXTRA_SKIPPED)
    if at < len(data) and data[at] == _PICTURE:
        return True
    if at >= len(data) or data[at] != _TRAILER:
        notices.append(REPAIRED)
    elif any(data[at + 1 : at + 1 + MAX_TEXT]):
        notices.append(EXTRA_SKIPPED)
    return False
