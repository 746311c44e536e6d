"""i2v.media.pictures.gif: the first picture, however much is written beside it."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from i2v.core.errors import InvalidRequest
from i2v.media.image import decode_picture
from i2v.media.pictures.gif import clean
from tests.media.pictures.samples import encoded, noise, opened

WHOLE = encoded(noise().convert("P", palette=Image.Palette.ADAPTIVE), "GIF")
PIXELS = opened(WHOLE).convert("RGB").tobytes()


def comments(size: int) -> bytes:
    return b"\x21\xfe" + (b"\xff" + b"x" * 255) * (size // 256) + b"\0"


def before_picture(extra: bytes) -> bytes:
    at = 13 + (3 << ((WHOLE[10] & 7) + 1))
    return WHOLE[:at] + extra + WHOLE[at:]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (WHOLE, []),
        (before_picture(comments(1000)), []),
        (before_picture(comments(8_000_000)), ["image.extra_skipped"]),
        (before_picture(b"\x21\xfe\x01x\0" * 100_000), []),
        (WHOLE[:-1] + comments(8_000_000) + b";", ["image.extra_skipped"]),
        (WHOLE[:-1], ["image.repaired"]),
        (WHOLE[:-2], ["image.repaired"]),
        (WHOLE + b"<html>", ["image.extra_skipped"]),
    ],
)
def test_what_is_not_the_picture_is_passed_over_quickly(data: bytes, codes: list[str]) -> None:
    before = time.process_time()
    picture = decode_picture(data)
    assert time.process_time() - before < 20  # Pillow alone takes a minute for the comments
    assert [notice.code for notice in picture.notices] == codes
    assert picture.image.tobytes() == PIXELS
    assert len(clean(data).data) < len(WHOLE) + 10


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_half_a_picture_is_refused(share: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_picture(WHOLE[: int(len(WHOLE) * share)])
    assert caught.value.code == "image.damaged"


def test_transparency_stays_and_further_pictures_do_not() -> None:
    frames = [Image.new("RGBA", (32, 32), colour) for colour in ((0, 0, 0, 0), "red", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    cleaned = clean(data)
    assert cleaned.frames
    assert opened(cleaned.data).info.get("transparency") == opened(data).info.get("transparency")
    assert clean(cleaned.data).data == cleaned.data
