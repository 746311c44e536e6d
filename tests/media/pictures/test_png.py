"""i2v.media.pictures.png: nothing but the pixels counts, and those are proven."""

from __future__ import annotations

import struct
import zlib

import pytest

from i2v.core.errors import InvalidRequest
from i2v.media.pictures.png import clean
from tests.media.pictures.samples import encoded, noise, opened, oriented, png_chunk, with_chunk

PIXELS = noise()
WHOLE = encoded(PIXELS)
LONG = b"node " * 500_000
PACKED = zlib.compress(LONG)
AT_IDAT = WHOLE.index(b"IDAT")


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (WHOLE, []),
        (with_chunk(WHOLE, png_chunk(b"tEXt", b"Comment\0hello")), []),
        (with_chunk(WHOLE, png_chunk(b"vpAg", b"whatever")), []),
        (with_chunk(WHOLE, png_chunk(b"tEXt", b"workflow\0" + LONG)), ["image.extra_skipped"]),
        (with_chunk(WHOLE, png_chunk(b"zTXt", b"w\0\0" + zlib.compress(LONG))), ["image.extra_skipped"]),
        (with_chunk(WHOLE, png_chunk(b"iTXt", b"w\0\1\0\0\0" + PACKED)), ["image.extra_skipped"]),
        (with_chunk(WHOLE, png_chunk(b"zTXt", b"w\0\0broken")), ["image.extra_skipped"]),
        (with_chunk(WHOLE, png_chunk(b"tEXt", b"Comment\0hello", crc=1)), ["image.repaired"]),
        (with_chunk(WHOLE, png_chunk(b"eXIf", b"MM\0*\0\0\0\x08", crc=1)), ["image.repaired"]),
        (with_chunk(WHOLE, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"x"), crc=1)), ["image.repaired"]),
        (with_chunk(WHOLE, png_chunk(b"iCCP", b"x\0\0broken")), ["image.profile_ignored"]),
        (with_chunk(WHOLE, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(LONG))), ["image.profile_ignored"]),
        (with_chunk(WHOLE, png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff bad")), ["image.orientation_unknown"]),
        (WHOLE[:-12], ["image.repaired"]),
        (WHOLE[:-5], ["image.repaired"]),
        (WHOLE[:-14], ["image.repaired"]),  # into the checksum of the last pixels
        (WHOLE + b"<html>", ["image.extra_skipped"]),
        (WHOLE + bytes(100), []),
    ],
)  # fmt: skip
def test_what_is_not_pixels_never_costs_the_picture(data: bytes, codes: list[str]) -> None:
    cleaned = clean(data)
    assert [notice.code for notice in cleaned.notices] == codes
    assert opened(cleaned.data).tobytes() == PIXELS.tobytes()
    assert len(cleaned.data) < len(WHOLE) + 100
    assert clean(cleaned.data).data == cleaned.data


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (WHOLE[:AT_IDAT + 90] + bytes([WHOLE[AT_IDAT + 90] ^ 1]) + WHOLE[AT_IDAT + 91:], "checksum"),
        (WHOLE[:-13] + b"\0" + WHOLE[-12:], "checksum"),  # the pixels are right, and their checksum wrong
        (WHOLE[:19] + b"\7" + WHOLE[20:], "checksum"),  # IHDR
        (WHOLE[:33] + WHOLE[-12:], "missing"),
        (b"\x89PNG\r\n\x1a\n", "missing"),
        (with_chunk(WHOLE, png_chunk(b"ABCD", b"needed")), "ABCD"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_pixels_is_a_refusal(data: bytes, word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        clean(data)
    assert caught.value.code == "image.damaged"
    assert word in caught.value.message


def test_apples_own_png_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        clean(WHOLE[:8] + png_chunk(b"CgBI", b"\x50\0\x20\6") + WHOLE[8:])
    assert caught.value.code == "image.unknown_format"
    assert "CgBI" in caught.value.message


def test_of_exif_the_orientation_stays_and_nothing_else() -> None:
    cleaned = clean(encoded(PIXELS, exif=oriented(6)))
    assert cleaned.orientation == 6
    assert b"SECRET" not in cleaned.data
    assert dict(opened(cleaned.data).getexif()) == {0x0112: 6}


def test_colours_by_numbers_are_read() -> None:
    assert clean(with_chunk(WHOLE, png_chunk(b"cICP", bytes([12, 13, 0, 1])))).coding == (12, 13)
    assert clean(WHOLE).coding is None


def test_further_pictures_are_left_out_and_known() -> None:
    frames = [noise(32, 32), noise(32, 32).rotate(90)]
    data = encoded(frames[0], save_all=True, append_images=frames[1:])
    cleaned = clean(data)
    assert cleaned.frames
    assert b"fdAT" not in cleaned.data
    assert struct.unpack(">I", cleaned.data[16:20]) == (32,)
