"""media.picture_facts: what is sharp and without text is called so; what was blurred or written on is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from i2v.media.picture_facts import SIDE, examine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(params=["cat", "coffee", "rocket"])
def photo(request: pytest.FixtureRequest) -> Image.Image:
    with Image.open(EXAMPLES / f"{request.param}.jpg") as picture:
        return picture.convert("RGB")


def moved(picture: Image.Image, length: int, axis: int) -> Image.Image:
    """Return the mean of the picture along `length` pixels, downwards (0) or to the right (1)."""
    pixels = np.asarray(picture, np.float32)
    mean = np.mean([np.roll(pixels, step, axis) for step in range(length)], axis=0)
    return Image.fromarray(mean.astype(np.uint8))


def written(picture: Image.Image, line: str, size: int, ink: str, places: range) -> Image.Image:
    """Return the picture with the line at each of the places, in pixels from the top."""
    picture = picture.copy()
    for top in places:
        font = ImageFont.load_default(size)
        ImageDraw.Draw(picture).text((picture.width / 2, top), line, ink, font, "ma")
    return picture


def test_a_photograph_is_sharp_and_without_text(photo: Image.Image) -> None:
    facts = examine(photo)
    assert (facts.width, facts.height) == photo.size
    assert facts.sharpness == max(photo.size)
    assert facts.text_share == 0


@pytest.mark.parametrize(("sigma", "halvings"), [(2.5, 1), (6, 2)])
def test_a_blurred_one_shows_its_detail_at_a_fraction_of_its_size(
    photo: Image.Image, sigma: float, halvings: int
) -> None:
    facts = examine(photo.filter(ImageFilter.GaussianBlur(sigma)))
    assert facts.sharpness <= max(photo.size) >> halvings


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_is_blur_though_it_leaves_the_edges_along_it_sharp(photo: Image.Image, axis: int) -> None:
    assert examine(moved(photo, 25, axis)).sharpness < max(photo.size)


def test_fog_is_no_blur(photo: Image.Image) -> None:
    foggy = Image.blend(photo, Image.new("RGB", photo.size, "silver"), 0.7)
    assert examine(foggy).sharpness == max(photo.size)


def test_a_soft_background_is_no_blur(photo: Image.Image) -> None:
    soft = photo.filter(ImageFilter.GaussianBlur(8))
    width, height = photo.size
    subject = (width // 3, height // 4, width * 2 // 3, height * 3 // 4)
    soft.paste(photo.crop(subject), subject)
    assert examine(soft).sharpness == max(photo.size)


def test_a_large_picture_is_judged_by_what_is_seen_at_a_smaller_size(photo: Image.Image) -> None:
    large = photo.resize((5 * photo.width, 5 * photo.height)).filter(ImageFilter.GaussianBlur(2))
    facts = examine(large)
    assert (facts.width, facts.height, facts.sharpness) == (*large.size, SIDE)


def test_a_small_picture_that_was_enlarged_has_the_detail_of_a_small_one(photo: Image.Image) -> None:
    small = photo.resize((photo.width // 6, photo.height // 6))
    assert examine(small.resize((1800, 1200))).sharpness <= SIDE // 2


@pytest.mark.parametrize("size", [(16, 16), (16, 128), (128, 16), (640, 480)])
def test_a_plain_picture_gives_no_reason_for_advice(size: tuple[int, int]) -> None:
    facts = examine(Image.new("RGB", size, "teal"))
    assert (facts.sharpness, facts.text_share) == (max(size), 0)


@pytest.mark.parametrize("line", ["What are you waiting for?", "HAPPY BIRTHDAY TO YOU"])
@pytest.mark.parametrize("share", [0.05, 0.08])
def test_a_caption_is_found(photo: Image.Image, line: str, share: float) -> None:
    size = round(share * photo.height)
    strip = Image.new("RGB", (photo.width, 2 * size), "black")
    photo.paste(strip, (0, photo.height - 2 * size))
    top = photo.height - 2 * size + size // 3
    assert 0.01 < examine(written(photo, line, size, "white", range(top, top + 1))).text_share < 0.2


def test_a_page_is_mostly_text() -> None:
    line = "It was the best of times, it was the worst of times, it was the age of wisdom"
    page = written(Image.new("RGB", (900, 1200), "white"), line, 22, "black", range(60, 1100, 35))
    assert 0.3 < examine(page).text_share < 0.9
    assert examine(page).sharpness == SIDE
