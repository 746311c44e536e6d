"""Prompts of before, the prompt helper, own presets and notifications, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from i2v.web.texts import TEXTS
from tests.web.browser import Visit, keep_asking, needs_chromium
from tests.web.house import House
from tests.web.pages import QUICK, Gates

pytestmark = needs_chromium


def drop(page: Page, house: House, prompt: str = QUICK) -> None:
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": house.picture}
    with page.expect_response(lambda response: "/upload" in response.url):  # there may be a picture already
        page.set_input_files("#i2v-picture input[type=file]", upload)
    expect(page.locator("#i2v-picture img")).to_be_visible()
    page.fill("#i2v-prompt textarea", prompt)


NOTED = """window.messages = []; window.asked = 0;
window.Notification = class {
  static permission = "default";
  static async requestPermission() { window.asked++; return this.permission = window.answer ?? "granted"; }
  constructor(title, more) { window.messages.push(more.body); }
};
Object.defineProperty(document, "hidden", {get: () => window.away ?? false});"""


def a_notification_comes_only_after_it_was_switched_on_and_the_icon_tells_how_far_it_is(
    page: Page, house: House, gates: Gates
) -> None:
    box = page.locator("#i2v-notify input")
    expect(box).not_to_be_checked()
    page.evaluate("window.answer = 'denied'")
    box.click()
    expect(page.locator("#i2v-notify .i2v-denied")).to_be_visible()
    expect(box).not_to_be_checked()
    page.evaluate("window.answer = 'granted'")
    for reported in ([], ["Done."]):
        drop(page, house, gates.prompt(2 + len(reported)))
        icon = page.evaluate("document.querySelector('link[rel~=icon]')?.getAttribute('href') ?? ''")
        page.evaluate("window.away = true")
        page.click("#i2v-go")
        wheel = page.locator("link[rel~=icon]")
        expect(wheel).to_have_attribute("href", re.compile("^data:image/png"))
        gates.open(2 + len(reported))
        expect(page.locator("#i2v-status")).to_contain_text("Done.")
        expect(wheel).to_have_attribute("href", re.compile(f"^{re.escape(icon)}$|^data:,$"))
        page.wait_for_timeout(700)
        assert [words[:5] for words in page.evaluate("window.messages")] == reported
        box.check()
        expect(box).to_be_checked()
    assert page.evaluate("window.asked") <= 3


@pytest.mark.slow
def test_prompts_are_used_again_or_put_together_and_notifications_switched_on(
    visit: Visit, house: House, gates: Gates
) -> None:
    page = visit()
    page.add_init_script(NOTED)  # of the next load on
    drop(page, house)
    page.click("#i2v-go")
    expect(page.locator("#i2v-frame video")).to_be_visible()
    stored = {"used": [f"prompt {number}" for number in range(60)], "kept": ["<b>bold</b>", 7, ""]}
    page.evaluate("text => localStorage.setItem('i2v-prompts', text)", json.dumps(stored))
    page.fill("#i2v-prompt textarea", "the last one")
    page.click("#i2v-variation")
    page.reload()

    opener, rows = page.locator("#i2v-prompts-open"), page.locator(".i2v-prompts li")
    opener.click()
    expect(opener).to_have_attribute("aria-expanded", "true")
    expect(rows).to_have_count(31)  # 30 that were used last, and one that was kept
    expect(rows.first).to_contain_text("<b>bold</b>")  # as text
    expect(rows.nth(1)).to_contain_text("the last one")
    rows.nth(1).get_by_role("button", name="Add to favourites").click()
    expect(rows.first).to_contain_text("the last one")
    rows.nth(1).get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(30)
    rows.nth(1).locator(".i2v-prompt-use").click()
    expect(page.locator("#i2v-prompt textarea")).to_have_value("prompt 0")
    expect(rows.first).to_be_hidden()

    opener.press("Enter")
    page.keyboard.press("Escape")
    expect(rows.first).to_be_hidden()
    expect(opener).to_be_focused()
    expect(page.locator("#i2v-status")).to_contain_text("Done.")
    a_notification_comes_only_after_it_was_switched_on_and_the_icon_tells_how_far_it_is(page, house, gates)

    page.hover("#i2v-preset label")
    expect(page.locator("#i2v-preset")).to_have_attribute("title", TEXTS["tip.preset"][0])
    page.click("#i2v-helper summary")
    expect(page.locator("[data-helper=use]")).to_be_disabled()
    page.fill("[data-part=subject]", "a lighthouse, ")
    page.fill("[data-part=motion]", "waves rise.")
    page.select_option("[data-part=camera]", label="the camera zooms in")
    page.select_option("[data-part=pace]", label="slowly")
    page.click("[data-helper=use]")
    whole = "a lighthouse, waves rise, the camera zooms in, slowly"
    expect(page.locator("#i2v-prompt textarea")).to_have_value(whole)
    expect(page.locator("#i2v-helper output")).to_have_text(whole)


@pytest.mark.slow
def test_settings_are_saved_under_a_name_used_again_and_deleted(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    keep_asking(page)
    frames = page.locator("#i2v-num-frames input[type=number]")
    page.click("#i2v-advanced button")
    page.fill("#i2v-prompt textarea", "as it was")
    frames.fill("12")
    frames.blur()
    expect(page.locator("#i2v-plan")).to_contain_text("12 帧")
    page.fill("#i2v-own-name :is(input, textarea)", "十二 <帧>")
    page.click("#i2v-own-save")
    saved = page.locator("#i2v-own-presets [data-act=use]")
    expect(saved).to_have_text("十二 <帧>")

    page.reload()
    page.click("#i2v-advanced button")
    expect(frames).to_have_value("8")
    page.fill("#i2v-prompt textarea", "another one")
    saved.click()
    expect(frames).to_have_value("12")
    expect(page.locator("#i2v-prompt textarea")).to_have_value("another one")
    expect(page.locator("#i2v-plan")).to_contain_text("12 帧")
    remove = page.locator("#i2v-own-presets [data-act=remove]")
    remove.click()
    page.wait_for_timeout(600)  # nearer, it is a double click
    remove.click()
    expect(saved).to_have_count(0)
