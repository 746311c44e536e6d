"""The shape and the crop box, in a real browser: what is seen in the box is what the clip is made of."""

from __future__ import annotations

import asyncio
import re

import gradio as gr
import pytest
from playwright.sync_api import Page, expect

from i2v.core.crop import Crop
from i2v.web.page.tabs.cropping import Cropping
from i2v.web.page.tabs.widgets import Labels
from tests.web.browser import Visit, needs_chromium
from tests.web.house import House, wait_for
from tests.web.pages import QUICK


@pytest.fixture
def cropping() -> Cropping:
    async def build() -> Cropping:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            return Cropping(Labels())

    return asyncio.run(build())


@pytest.mark.parametrize(
    ("shape", "place", "field", "crop"),
    [
        ("picture", "0.1,0,0.9,1", None, None),
        ("1:1", "", "1:1", Crop(0.25, 0, 0.75, 1)),
        ("1:1", "0,0,0.1,1", "1:1", Crop(0, 0, 0.5, 1)),  # a box of another picture: middle and size count
        ("1:1", "0,0,0.1,0.5", "1:1", Crop(0, 0, 0.25, 0.5)),
        ("1:1", "nonsense", "1:1", Crop(0.25, 0, 0.75, 1)),
        ("own", "0.1,0,0.9,1", "0.1,0,0.9,1", Crop(0.1, 0, 0.9, 1)),
        ("own", "", None, None),
        ("anything", "0.1,0,0.9,1", None, None),
    ],
)
def test_the_widgets_are_a_part_of_the_picture(
    cropping: Cropping, shape: str, place: str, field: str | None, crop: Crop | None
) -> None:
    values = {cropping.shape: shape, cropping.place: place}
    assert cropping.field(values) == field
    assert cropping.crop(values, (200, 100)) == crop


@pytest.mark.parametrize(
    ("crop", "shape", "place"),
    [
        (None, "picture", ""), ("9:16", "9:16", ""), ("3:2", "picture", ""), ("nonsense", "picture", ""),
        ({"left": 0.1, "top": 0, "right": 0.9, "bottom": 1}, "own", "0.1,0,0.9,1"),
    ],
)  # fmt: skip
def test_they_are_filled_from_a_request(cropping: Cropping, crop: object, shape: str, place: str) -> None:
    assert list(cropping.filled(crop).values()) == [shape, place]


def test_a_box_is_drawn_wherever_a_part_can_be_chosen(cropping: Cropping) -> None:
    def drawn(shape: str) -> str:
        return cropping.box({cropping.shape: shape}, None, "en")

    assert drawn("picture") == drawn("<b>") == ""
    assert 'data-crop="0,0,1,1"' in drawn("own")
    assert 'data-keeps="false"' in drawn("own")
    assert 'data-keeps="true"' in drawn("16:9")


def drop(page: Page, house: House) -> None:
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": house.picture}
    page.set_input_files("#i2v-picture input[type=file]", upload)
    page.fill("#i2v-prompt textarea", QUICK)


def made(house: House, count: int) -> Crop:
    wait_for(lambda: sum(house.service.counts().values()) > count)
    job = house.service.page(limit=1).jobs[0]
    assert job.generation is not None
    assert job.generation.crop is not None
    return job.generation.crop


def the_box_is_resized_by_its_corners_and_keeps_a_chosen_shape(page: Page, house: House) -> None:
    """The picture has 96 x 64 pixels: a square of it is 2/3 of its width."""
    page.locator("#i2v-shape label", has_text="1:1").click()
    expect(page.locator("#i2v-plan")).to_contain_text("the chosen part of the picture (64 x 64)")
    place = page.locator(".i2v-crop").get_attribute("data-crop")
    assert place is not None
    left = float(place.split(",")[0])
    corner = page.get_by_label("Crop box: resize at the bottom right")
    corner.focus()
    for _ in range(10):
        page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("#i2v-plan")).to_contain_text("the chosen part of the picture (32 x 32)")
    before = sum(house.service.counts().values())
    page.click("#i2v-go")
    crop = made(house, before)
    assert (crop.left, crop.top) == pytest.approx((left, 0), abs=1e-3)
    assert (crop.right, crop.bottom) == pytest.approx((left + 1 / 3, 0.5), abs=1e-3)

    page.locator("#i2v-shape label", has_text="Free").click()
    expect(page.locator(".i2v-crop")).to_have_attribute("data-keeps", "false")
    grip = corner.bounding_box()
    image = page.locator("#i2v-picture .image-frame img").bounding_box()
    assert grip is not None
    assert image is not None
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + image["width"], y, steps=4)  # beyond the edge: it stops there
    page.mouse.up()
    expect(page.locator(".i2v-crop")).to_have_attribute("data-crop", re.compile(r",1,0\.5\d*$"))
    page.wait_for_timeout(600)
    before = sum(house.service.counts().values())
    page.click("#i2v-go")
    assert made(house, before).right == 1


@pytest.mark.slow
@needs_chromium
def test_what_is_in_the_box_is_what_the_clip_is_made_of(visit: Visit, house: House) -> None:
    """The picture has 96 x 64 pixels: a square of it has room at the sides."""
    page = visit()
    drop(page, house)
    page.locator("#i2v-shape label", has_text="1:1").click()
    box = page.locator(".i2v-crop-box")
    expect(box).to_have_attribute("aria-valuenow", "50")
    expect(page.locator("#i2v-cut")).to_contain_text("left 17 %, right 17 %")
    expect(page.locator("#i2v-plan")).to_contain_text("the chosen part of the picture (64 x 64)")

    place = box.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 20, place["y"] + 20)
    page.mouse.down()
    page.mouse.move(place["x"] + 500, place["y"] + 30, steps=4)
    page.mouse.up()
    page.wait_for_timeout(600)  # pressed at once, and before the server has answered, it holds as well
    before = sum(house.service.counts().values())
    page.click("#i2v-go")
    assert made(house, before) == Crop(pytest.approx(1 / 3, abs=1e-5), 0, 1, 1)  # type: ignore[arg-type]
    expect(page.locator("#i2v-result")).to_contain_text("33.3 to 100 % across, 0 to 100 % down")

    box.focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    expect(box).to_have_attribute("aria-valuenow", "40")
    expect(page.locator("#i2v-cut")).to_contain_text("left 14 %, right 20 %")
    page.reload()  # the part comes back with the job
    expect(page.locator("#i2v-shape input:checked")).to_have_value("own")
    expect(box).to_be_visible()
    page.locator("#i2v-shape label", has_text="Whole").click()
    expect(box).to_have_count(0)
    the_box_is_resized_by_its_corners_and_keeps_a_chosen_shape(page, house)


@pytest.mark.slow
@needs_chromium
def test_a_finger_moves_the_box(visit: Visit, house: House) -> None:
    page = visit(width=390, locale="zh-CN", has_touch=True)
    drop(page, house)
    page.locator("#i2v-shape label", has_text="9:16").click()
    box = page.locator(".i2v-crop-box")
    expect(box).to_have_attribute("aria-label", "裁剪框：用鼠标或方向键移动")
    place = box.bounding_box()
    assert place is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    send = page.context.new_cdp_session(page).send
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]), ("touchMove", [{"x": x - 300, "y": y}]), ("touchEnd", []),
    ):  # fmt: skip
        send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(box).to_have_attribute("aria-valuenow", "0")
    expect(page.locator("#i2v-cut")).to_contain_text("右 62 %")
