"""web.page.mask_drawing and mask.js: a mask is painted on the picture, and becomes a file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from i2v.web.page.mask_drawing import mask_drawing
from i2v.web.page.mount import _SCRIPTS
from i2v.web.texts import text
from tests.web.browser import needs_chromium, open_browser

SCRIPT = next(path for path in _SCRIPTS if path.name == "mask.js")
SIZE = (200, 100)


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", SIZE, "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def page() -> Iterator[Page]:
    """The dialog beside a field for the picture and one for the mask, as small as they can be."""
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content(
            f'<div id="i2v-picture"></div><div id="i2v-motion-mask"><input type="file"></div>'
            f"{mask_drawing('en')['value']}<script>{SCRIPT.read_text()}</script>"
        )
        yield page


def give_picture(page: Page) -> None:
    page.evaluate(
        "source => { document.querySelector('#i2v-picture').innerHTML ="
        " `<div class='image-frame'><img src='data:image/png;base64,${source}'></div>`; }",
        picture(),
    )
    page.wait_for_function("document.querySelector('#i2v-picture img').naturalWidth > 0")


def used(page: Page) -> Image.Image:
    """Take the mask, and return it as the field got it."""
    page.evaluate("document.querySelector('#i2v-motion-mask input').value = ''")
    page.click("[data-mask=use]")
    page.wait_for_function("document.querySelector('#i2v-motion-mask input').files.length > 0")
    data = page.evaluate(
        "async () => { const [file] = document.querySelector('#i2v-motion-mask input').files;"
        " return [...new Uint8Array(await file.arrayBuffer())]; }"
    )
    return Image.open(io.BytesIO(bytes(data))).convert("L")


@needs_chromium
def test_what_is_painted_is_white_in_the_file(page: Page) -> None:
    page.click("[data-mask=open]")
    expect(page.locator(".i2v-mask [role=status]")).to_have_text(text("mask.no_picture", "en"))
    give_picture(page)
    page.click("[data-mask=open]")
    canvas = page.locator(".i2v-mask canvas")
    expect(canvas).to_be_focused()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    mask = used(page)
    assert mask.size == SIZE
    assert (mask.getpixel((40, 50)), mask.getpixel((100, 50)), mask.getpixel((40, 5))) == (255, 0, 0)
    page.click("[data-mask=open]")
    page.click("[data-mask=invert]")
    inverted = used(page)
    assert (inverted.getpixel((40, 50)), inverted.getpixel((100, 50))) == (0, 255)
    page.click("[data-mask=open]")
    page.click("[data-mask=clear]")
    page.focus(".i2v-mask canvas")
    page.keyboard.down(" ")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    page.keyboard.press("ArrowDown")
    keyed = used(page)
    assert (keyed.getpixel((105, 50)), keyed.getpixel((135, 50)), keyed.getpixel((40, 50))) == (255, 255, 0)


def test_it_speaks_both_languages() -> None:
    for language, word in (("en", "Use this mask"), ("zh-CN", "使用此蒙版")):
        assert word in mask_drawing(language)["value"]
    assert Path(SCRIPT).is_file()
