"""What is left of a picture's file when all that is neither pixels nor needed to show them is taken out.

Owns the record that the formats' modules return, the smallest EXIF block there is, and what is said of things
that were left out. It does not know any one format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import Image

from i2v.core.errors import InvalidRequest, Notice

ORIENTATION = 0x0112
MAX_PROFILE = 4_000_000  # bytes: the largest that printers' profiles usually have
MAX_TEXT = 2**20  # bytes, unpacked: what is longer is said to be skipped
MAX_EXIF = 2**20  # bytes

_EMPTY_EXIF = 20  # bytes: the head, no entries, nowhere to go on, the name before it

EXTRA_SKIPPED = Notice("image.extra_skipped", {})  # whole, but too large, or no part of the picture
REPAIRED = Notice("image.repaired", {})  # damaged, but not where the pixels are
PROFILE_IGNORED = Notice("image.profile_ignored", {})
ORIENTATION_UNKNOWN = Notice("image.orientation_unknown", {})


@dataclass(frozen=True)
class Cleaned:
    """A file of the same kind with the same pixels, and no comments, places, names or second files in it.

    Attributes:
        orientation: EXIF's, 1 to 8, that the file still has.
        frames: whether there were more pictures than the first.
        is_sure: whether the file says itself where its pixels end. If not, they have to be looked at.
        is_private: whether nothing but pixels is in `data`.
        coding: (primaries, transfer) of the colours by the numbers of ITU-T H.273, where they are given.
    """

    data: bytes
    notices: tuple[Notice, ...] = ()
    orientation: int = 1
    frames: bool = False
    is_sure: bool = True
    is_private: bool = True
    coding: tuple[int, int] | None = None


def damaged(reason: str) -> InvalidRequest:
    # ASCII, because a lone surrogate would break the reply that quotes it.
    return InvalidRequest("image.damaged", reason=ascii(reason)[1:-1][:120])


def read_orientation(exif: bytes, notices: list[Notice]) -> int:
    """Return the orientation that the EXIF block says, 1 where it is broken or says none."""
    if len(exif) > MAX_EXIF:
        notices.append(EXTRA_SKIPPED)
        exif = exif[:MAX_EXIF]  # the orientation is among the first entries
    try:
        read = Image.Exif()
        read.load(exif)
        value = int(read.get(ORIENTATION, 1))
        if not read and len(exif) > _EMPTY_EXIF:  # it leads nowhere, which Pillow passes over
            notices.append(ORIENTATION_UNKNOWN)
    except Exception:  # the pixels are whole; broken metadata is no reason to refuse them
        notices.append(ORIENTATION_UNKNOWN)
        return 1
    return value if 1 <= value <= 8 else 1


def exif_of(orientation: int) -> bytes:
    """Return an EXIF block (TIFF, without `Exif\\0\\0`) that says the orientation and nothing else."""
    entry = struct.pack(">HHIHH", ORIENTATION, 3, 1, orientation, 0)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)


def unique(notices: list[Notice]) -> tuple[Notice, ...]:
    """Return each notice once, in their order."""
    return tuple(notice for index, notice in enumerate(notices) if notice not in notices[:index])
