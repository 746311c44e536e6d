"""i2v.media.pictures.webp: the chunks of the picture, whatever stands around them."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.media.pictures.webp import clean
from tests.media.pictures.samples import encoded, noise, opened, oriented

SIMPLE = encoded(noise(), "WEBP", quality=80)
PROFILED = encoded(noise(), "WEBP", quality=80, icc_profile=b"no profile", exif=oriented(6), xmp=b"SECRET")


@pytest.mark.parametrize("data", [SIMPLE, PROFILED, encoded(noise(), "WEBP", lossless=True)])
@pytest.mark.parametrize("wrong", [1, 2, 1000, -1, -7])
def test_a_wrong_length_of_the_whole_is_put_right(data: bytes, wrong: int) -> None:
    size = (int.from_bytes(data[4:8], "little") + wrong).to_bytes(4, "little")
    cleaned = clean(data[:4] + size + data[8:])
    assert opened(cleaned.data).tobytes() == opened(data).tobytes()
    assert clean(cleaned.data).data == cleaned.data


def test_of_metadata_orientation_and_profile_stay() -> None:
    cleaned = clean(PROFILED)
    assert (cleaned.orientation, cleaned.notices) == (6, ())
    assert b"SECRET" not in cleaned.data
    shown = opened(cleaned.data)
    assert (dict(shown.getexif()), shown.info["icc_profile"]) == ({0x0112: 6}, b"no profile")


def test_what_follows_the_picture_or_is_cut_off_behind_it_is_said() -> None:
    cut = PROFILED[:-10]  # XMP is last
    assert [notice.code for notice in clean(cut).notices] == ["image.repaired"]
    assert [notice.code for notice in clean(SIMPLE + b"<html> and more").notices] == ["image.extra_skipped"]
    for data in (cut, SIMPLE + b"<html> and more"):
        assert opened(clean(data).data).size == (160, 120)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_half_a_picture_is_refused(share: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        clean(SIMPLE[: int(len(SIMPLE) * share)])
    assert caught.value.code == "image.damaged"


def test_the_first_picture_of_an_animation_is_left() -> None:
    frames = [noise(), noise().rotate(180)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    cleaned = clean(data)
    assert cleaned.frames
    assert len(cleaned.data) < 0.6 * len(data)
    assert opened(cleaned.data).convert("RGB").tobytes() == frames[0].tobytes()
