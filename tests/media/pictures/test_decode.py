"""i2v.media.pictures.decode: the header and the pixels go through the same gate and say the same size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import InvalidRequest
from i2v.media.pictures.decode import clean, decode_cleaned, decode_picture, inspect_picture
from i2v.media.pictures.limits import ImageLimits
from tests.media.pictures.samples import encoded, oriented, quadrants

CORNERS = ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))


def corners(image: Image.Image) -> np.ndarray:
    places = [(int(x * image.width), int(y * image.height)) for x, y in CORNERS]
    return np.array([image.convert("RGB").getpixel(place) for place in places], int)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_header_tells_the_size_that_decoding_gives(format: str, orientation: int) -> None:
    stored = quadrants() if orientation == 1 else quadrants().transpose(Image.Transpose.ROTATE_90)
    turned = {} if format in ("GIF", "BMP") else {"exif": oriented(orientation)}
    data = encoded(stored, format, **turned)
    picture = decode_picture(data)
    expected = (64, 48) if turned or orientation == 1 else (48, 64)
    assert inspect_picture(data).size == picture.image.size == picture.source_size == expected


@pytest.mark.parametrize("size", [(8, 8), (320, 16), (16, 320), (1200, 100), (4000, 3000)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_what_is_refused_is_refused_by_the_header(size: tuple[int, int], format: str) -> None:
    limits = ImageLimits(max_pixels=10_000_000)
    data = encoded(Image.new("RGB", size, "teal"), format)
    reported = []
    for way in (inspect_picture, decode_picture):
        with pytest.raises(InvalidRequest) as caught:
            way(data, limits)
        reported.append(caught.value.to_dict())
    assert reported[0] == reported[1]


@pytest.mark.parametrize(
    ("format", "mode", "options"),
    [
        ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {"compress_level": 1}),
        ("PNG", "P", {"compress_level": 1}), ("WEBP", "RGB", {"method": 0}),
    ],
)  # fmt: skip
def test_large_ones_are_scaled_down_whatever_they_are(
    monkeypatch: pytest.MonkeyPatch, format: str, mode: str, options: dict[str, object]
) -> None:
    monkeypatch.setattr("i2v.media.pictures.limits.KEPT_PIXELS", 25_000)
    upright = quadrants(221, 163)
    data = encoded(
        upright.transpose(Image.Transpose.ROTATE_90).convert(mode), format, exif=oriented(6), **options
    )
    picture = decode_picture(data)
    assert picture.source_size == (221, 163)
    assert inspect_picture(data).size == picture.image.size == (111, 82)
    assert [notice.code for notice in picture.notices] == ["image.scaled_down"]
    expected = corners(upright.convert(mode) if mode == "L" else upright)
    assert np.abs(corners(picture.image) - expected).max() < 20


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_what_is_kept_has_the_pixels_of_what_was_sent(format: str) -> None:
    data = encoded(quadrants(), format, exif=oriented(6)) if format != "GIF" else encoded(quadrants(), "GIF")
    kind, cleaned = clean(data)
    kept = decode_picture(cleaned.data)
    assert kept.image.tobytes() == decode_cleaned(kind, cleaned).image.tobytes()
    assert kept.image.tobytes() == decode_picture(data).image.tobytes()
    assert b"SECRET" not in cleaned.data


def test_blanks_before_a_picture_are_said() -> None:
    assert [notice.code for notice in decode_picture(b"\r\n" + encoded(quadrants())).notices] == [
        "image.extra_skipped"
    ]
