"""i2v.media.pictures.boxes, and that HEIC and AVIF are read as they are meant."""

from __future__ import annotations

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from i2v.core.errors import InvalidRequest
from i2v.media.image import decode_picture
from i2v.media.pictures.boxes import clean
from i2v.media.pictures.kinds import Kind
from tests.media.pictures.samples import encoded, noise, oriented, quadrants
from tests.media.test_image import TO_ORIENTATION

PHOTO = quadrants(128, 96)


@pytest.fixture(scope="module", autouse=True)
def writers() -> None:
    pillow_heif.register_heif_opener()


def difference(data: bytes, expected: Image.Image) -> float:
    picture = decode_picture(data).image
    assert picture.size == expected.size
    return float(np.abs(np.asarray(picture, int) - np.asarray(expected)).mean())


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_both_are_read(format: str) -> None:
    data = encoded(PHOTO, format, quality=90)
    assert difference(data, PHOTO) < 4
    assert decode_picture(data).notices == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_once(orientation: int) -> None:
    stored = TO_ORIENTATION[orientation](PHOTO)
    assert difference(encoded(stored, "AVIF", quality=90, exif=oriented(orientation)), PHOTO) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_with_nothing_but_exif_is_turned_by_that(orientation: int) -> None:
    data = encoded(TO_ORIENTATION[orientation](PHOTO), "HEIF", quality=90, exif=oriented(orientation))
    assert b"irot" not in data
    assert difference(data, PHOTO) < 4
    assert difference(clean(data, "HEIF").data, PHOTO) < 4


def test_heic_that_is_turned_by_itself_and_by_exif_is_turned_once() -> None:
    stored = PHOTO.copy()
    stored.info["exif"] = oriented(6).tobytes()
    pillow_heif.from_pillow(stored).save(buffer := io.BytesIO(), quality=90)
    data = buffer.getvalue()
    turn = data[data.index(b"irot") + 4]  # anticlockwise, in quarters
    assert (turn, b"\x01\x12\0\3" in data) == (3, True)
    height, width = (int.from_bytes(data[data.index(b"ispe") + at :][:4], "big") for at in (12, 8))
    shown = decode_picture(data).image
    assert shown.size == (height, width)
    with Image.open(io.BytesIO(data)) as file:
        assert shown.tobytes() == file.convert("RGB").tobytes()


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_transparency_and_halves(format: str) -> None:
    clear = PHOTO.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 64, 48))
    picture = decode_picture(encoded(clear, format, quality=90))
    assert [notice.code for notice in picture.notices] == ["image.transparent"]
    assert min(picture.image.getpixel((20, 20))) > 245
    data = encoded(noise(), format, quality=80)
    for share in (0.2, 0.6, 0.98):
        with pytest.raises(InvalidRequest) as caught:
            decode_picture(data[: int(len(data) * share)])
        assert caught.value.code == "image.damaged"


@pytest.mark.parametrize(("format", "kind"), [("HEIF", "HEIF"), ("AVIF", "AVIF")])
def test_places_are_emptied(format: str, kind: Kind) -> None:
    data = encoded(PHOTO, format, exif=oriented(1), xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>")
    assert data.count(b"SECRET") == 2
    cleaned = clean(data + b"trailing SECRET", kind)
    assert cleaned.is_private
    assert b"SECRET" not in cleaned.data
    assert [notice.code for notice in cleaned.notices] == ["image.extra_skipped"]
    assert difference(cleaned.data, PHOTO) < 4
    assert clean(cleaned.data, kind).data == cleaned.data


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_broken_exif_does_not_cost_the_picture(format: str) -> None:
    data = encoded(PHOTO, format, exif=oriented(1))
    head = b"MM\0*\0\0\0\x08"
    assert data.count(head) == 1
    picture = decode_picture(data.replace(head, b"MM\0*\xff\xff\xff\xff"))
    assert [notice.code for notice in picture.notices] == ["image.orientation_unknown"]


def test_the_first_of_several_pictures_is_taken() -> None:
    several = pillow_heif.from_pillow(PHOTO)
    several.add_from_pillow(PHOTO.rotate(180))
    several.save(buffer := io.BytesIO(), quality=90)
    picture = decode_picture(buffer.getvalue())
    assert [notice.code for notice in picture.notices] == ["image.animated"]
    moving = encoded(PHOTO, "AVIF", save_all=True, append_images=[PHOTO.rotate(180)])
    picture = decode_picture(moving)
    assert [notice.code for notice in picture.notices] == ["image.animated"]
    assert not clean(moving, "AVIF").is_private  # films are not gone through; their pixels are kept as PNG


def test_a_picture_without_a_description_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        clean(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF")
