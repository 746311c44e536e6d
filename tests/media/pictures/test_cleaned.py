"""i2v.media.pictures.cleaned: EXIF from anybody is read or passed over, never in the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import exif_of, read_orientation, unique
from tests.media.pictures.samples import oriented


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_smallest_exif_says_what_the_large_one_said(orientation: int) -> None:
    notices: list[Notice] = []
    assert read_orientation(oriented(orientation).tobytes(), notices) == orientation
    assert read_orientation(exif_of(orientation), notices) == orientation
    assert notices == []
    read = Image.Exif()
    read.load(exif_of(orientation))
    assert dict(read) == {0x0112: orientation}


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.binary(max_size=120), st.sampled_from([b"", b"MM\0*", b"II*\0", b"Exif\0\0MM\0*\0\0\0\x08"]))
@settings(max_examples=150, deadline=None)
def test_nonsense_is_upright(tail: bytes, head: bytes) -> None:
    assert 1 <= read_orientation(head + tail, []) <= 8


def test_a_very_long_block_is_read_at_its_beginning_and_said() -> None:
    notices: list[Notice] = []
    assert read_orientation(exif_of(6) + bytes(40_000_000), notices) == 6
    assert [notice.code for notice in notices] == ["image.extra_skipped"]


def test_notices_are_given_once_in_their_order() -> None:
    first, second = Notice("image.repaired", {}), Notice("image.hdr", {})
    assert unique([first, second, first]) == (first, second)
