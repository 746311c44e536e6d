"""The part of a picture that is asked for: how it is written, what is allowed, which pixels it is."""

from __future__ import annotations

import pytest

from i2v.core.crop import Crop, kept_size, settled, shaped
from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest

WRITTEN = ("0.1,0,0.9,1", " 0.1, 0, 0.9, 1", '{"left": 0.1, "top": 0, "right": 0.9, "bottom": 1}',
           {"left": 0.1, "top": 0, "right": 0.9, "bottom": 1})  # fmt: skip


@pytest.mark.parametrize("value", WRITTEN)
def test_a_crop_is_text_or_an_object_and_the_same(value: object) -> None:
    crop = GenerationRequest.parse({"prompt": "x", "crop": value}).crop
    assert crop == Crop(0.1, 0, 0.9, 1)
    assert Crop.read(str(crop)) == crop
    again = GenerationRequest.parse({"prompt": "x", "crop": crop}).model_dump(mode="json", exclude_none=True)
    assert GenerationRequest.parse(again).crop == crop


@pytest.mark.parametrize(
    "value",
    [
        "", "1", "0,0,1", "0,0,1,1,1", "a,0,1,1", "nan,0,1,1", "0,0,inf,1", "-0.1,0,1,1", "0,0,1.1,1",
        "0.9,0,0.1,1", "0.5,0,0.52,1", "[0,0,1,1]", "16:0", "0:9", "100:1", "16:9:1",
        [0, 0, 1, 1], {"left": 0}, True, 1, "{" * 5000,
        {"left": 0, "top": 0, "right": 1, "bottom": 1, "more": 1},
        {"left": True, "top": 0, "right": 1, "bottom": 1},
    ],
)  # fmt: skip
def test_what_is_no_part_of_a_picture_is_refused_with_what_is(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"crop.*left, top, right and bottom as parts"):
        GenerationRequest.parse({"prompt": "x", "crop": value})


def test_its_pixels_are_whole_and_at_least_one() -> None:
    assert Crop(0.1, 0, 0.9, 1).box((451, 300)) == (45, 0, 406, 300)
    assert kept_size((451, 300), Crop(0.1, 0, 0.9, 1)) == (361, 300)
    assert kept_size((451, 300), None) == (451, 300)
    for sides in ((1, 1), (3, 2)):
        for crop in (Crop(0, 0, 0.05, 0.05), Crop(0.95, 0.95, 1, 1)):
            left, top, right, bottom = crop.box(sides)
            assert 0 <= left < right <= sides[0]
            assert 0 <= top < bottom <= sides[1]


@pytest.mark.parametrize("shape", ["16:9", "9:16", "1:1", "4:5"])
@pytest.mark.parametrize("size", [(1600, 900), (900, 1600), (451, 300), (64, 64)])
def test_a_shape_is_the_largest_part_of_it_in_the_middle(shape: str, size: tuple[int, int]) -> None:
    wide, high = map(int, shape.split(":"))
    width, height = kept_size(size, settled(shape, size))
    assert width == size[0] or height == size[1]
    assert abs(width - height * wide / high) <= max(1, wide / high)
    if (crop := settled(shape, size)) is not None:
        assert crop.left == pytest.approx(1 - crop.right, abs=1e-5)
        assert crop.top == pytest.approx(1 - crop.bottom, abs=1e-5)


def test_a_shape_can_be_moved_as_far_as_the_picture_goes() -> None:
    assert shaped("1:1", (200, 100), (0.0, 0.9)) == Crop(0, 0, 0.5, 1)
    assert shaped("1:1", (200, 100), (0.6, 0.5)) == Crop(0.35, 0, 0.85, 1)
    assert shaped("1:1", (200, 100), within=Crop(0, 0, 0.25, 0.1)) == Crop(0.375, 0.25, 0.625, 0.75)
    assert shaped("1:1", (200, 100), (0, 0), within=Crop(0, 0, 0.01, 0.02)) == Crop(0, 0, 0.05, 0.1)
    assert shaped("2:1", (200, 100), within=Crop(0, 0, 0.5, 0.5)) == Crop(0.25, 0.25, 0.75, 0.75)
    assert shaped("2:1", (200, 100), within=Crop(0, 0, 1, 1)) is None
    assert settled(Crop(0, 0, 1, 1), (10, 10)) is None
    assert settled("16:9", (1600, 900)) is None
