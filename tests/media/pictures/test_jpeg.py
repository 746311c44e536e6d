"""media.pictures.jpeg: half a picture is told from one that lacks its end, and nothing but pixels is left."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import InvalidRequest
from i2v.media.image import decode_picture
from i2v.media.pictures.jpeg import MAX_SCANS, clean, is_whole
from tests.media.pictures.samples import encoded, noise, opened, oriented, quadrants

KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "444": {"subsampling": 0},
    "progressive 444": {"progressive": True, "subsampling": 0},
    "restarts": {"restart_marker_rows": 1},
    "restarts in blocks": {"restart_marker_blocks": 3},
    "optimised": {"optimize": True},
}
SMOOTH = quadrants(300, 220)


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "image", [Image.blend(noise(300, 220), SMOOTH, 0.7), SMOOTH], ids=["noise", "smooth"]
)
def test_a_missing_end_is_added_and_a_missing_part_refused(
    image: Image.Image, options: dict[str, object], grey: bool
) -> None:
    data = encoded(image.convert("L") if grey else image, "JPEG", quality=75, **options)
    for cut in (1, 2):
        picture = decode_picture(data[:-cut])
        assert [notice.code for notice in picture.notices] == ["image.repaired"]
        assert picture.image.tobytes() == decode_picture(data).image.tobytes()
    for share in (0.3, 0.5, 0.6, 0.75, 0.9, 0.97):
        with pytest.raises(InvalidRequest) as caught:
            decode_picture(data[: int(len(data) * share)])
        assert caught.value.code == "image.damaged"


def test_one_that_ends_before_a_restart_is_half_a_picture() -> None:
    data = encoded(SMOOTH, "JPEG", restart_marker_rows=1)
    restarts = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    assert len(restarts) > 10
    for cut in (at + more for at in restarts for more in (0, 1, 2)):
        with pytest.raises(InvalidRequest):
            decode_picture(data[:cut])


def test_a_progressive_one_that_ends_between_two_scans_is_half_a_picture() -> None:
    data = encoded(noise(), "JPEG", progressive=True)
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 5
    for start in starts[1:]:
        with pytest.raises(InvalidRequest):
            clean(data[:start])


def test_filler_does_not_change_what_is_whole() -> None:
    for options in KINDS.values():
        assert is_whole(encoded(noise(), "JPEG", **options))


def test_more_scans_than_any_encoder_makes_are_refused_before_they_are_decoded() -> None:
    data = encoded(Image.new("RGB", (64, 64), "teal"), "JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    few, many = (data[:start] + data[start:end] * times + data[end:] for times in (20, MAX_SCANS + 1))
    assert clean(few).is_sure
    with pytest.raises(InvalidRequest) as caught:
        clean(many)
    assert caught.value.code == "image.too_many_scans"


def test_comments_places_and_further_pictures_are_left_out() -> None:
    data = encoded(SMOOTH, "JPEG", exif=oriented(6), comment=b"SECRET", xmp=b"SECRET")
    cleaned = clean(data + b"SECRET")
    assert b"SECRET" not in cleaned.data
    assert cleaned.orientation == 6
    assert dict(opened(cleaned.data).getexif()) == {0x0112: 6}
    assert [notice.code for notice in cleaned.notices] == ["image.extra_skipped"]
    assert clean(cleaned.data).data == cleaned.data
    double = encoded(SMOOTH, "MPO", save_all=True, append_images=[SMOOTH])
    assert clean(double).notices == ()
    assert opened(clean(double).data).format == "JPEG"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("extra", "codes"),
    [
        (segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff broken from here"), ["image.orientation_unknown"]),
        (segment(0xE1, b"Exif\0\0nonsense that is no TIFF at all"), ["image.orientation_unknown"]),
        (segment(0xE2, b"ICC_PROFILE\0\2\3abc"), ["image.profile_ignored"]),
        (b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 80]) + bytes(65000)) for n in range(1, 81)),
         ["image.profile_ignored"]),
        (segment(0xFE, b"x" * 60_000) * 50, []),
        (b"\xff\xff" + segment(0xEC, b"Ducky"), []),
        (segment(0xEC, b"Ducky") + b"between segments", []),
    ],
)  # fmt: skip
def test_broken_metadata_does_not_cost_the_picture(extra: bytes, codes: list[str]) -> None:
    data = encoded(SMOOTH, "JPEG")
    picture = decode_picture(data[:2] + extra + data[2:])
    assert [notice.code for notice in picture.notices] == codes
    assert picture.image.tobytes() == decode_picture(data).image.tobytes()


def test_ink_stays_ink() -> None:
    """Adobe's segment says that CMYK is stored upside down."""
    data = encoded(SMOOTH.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(np.asarray(decode_picture(data).image, int) - np.asarray(SMOOTH)).mean() < 12
    assert b"Adobe" in clean(data).data
