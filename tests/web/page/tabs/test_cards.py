"""The engine's cards in a real browser: by mouse and by keyboard, small until they are needed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import Visit, choose_engine, needs_chromium
from tests.web.house import House, wait_for
from tests.web.pages import QUICK

pytestmark = needs_chromium


def arrows_choose_and_esc_closes_the_cards_and_cancels_nothing(page: Page) -> None:
    page.locator("#i2v-engine-change button").press("Enter")
    chosen = page.locator("#i2v-engine input:checked")
    expect(page.locator("#i2v-engine input").first).to_have_attribute("name", "i2v-engine")  # one group
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_value("rehearsal")
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_value("contrary")
    expect(page.locator("#i2v-prompt")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#i2v-engine label").filter(visible=True)).to_have_count(1)
    expect(chosen).to_be_focused()


@pytest.mark.slow
def test_one_card_is_shown_until_another_one_is_wanted_by_mouse_or_keyboard(
    visit: Visit, house: House
) -> None:
    job = house.submit_id(QUICK)
    wait_for(lambda: house.get(f"/jobs/{job}").json()["status"] == "succeeded")
    page = visit()
    button, cards = page.locator("#i2v-engine-change button"), page.locator("#i2v-engine label")
    chosen, seen = page.locator("#i2v-engine input:checked"), cards.filter(visible=True)
    expect(seen).to_have_count(1)
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(seen).to_have_count(3)
    expect(button).to_have_text("Close")
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(chosen).to_be_focused()
    cards.last.click()
    expect(seen).to_have_count(1)
    expect(chosen).to_have_value("contrary")
    expect(button).to_have_text("Change")
    expect(page.locator("#i2v-prompt")).to_have_count(0)

    choose_engine(page, "Automatic")
    expect(page.locator("#i2v-prompt")).to_be_visible()
    arrows_choose_and_esc_closes_the_cards_and_cancels_nothing(page)
    choose_engine(page, "Rehearsal")  # its card tells what clips like this took here
    expect(seen).to_contain_text(re.compile(r"^\s*Rehearsal\s.*\d s here · installed"))
    page.click("#i2v-language label:has-text('简体中文')")
    expect(button).to_have_text("更换")
    button.click()
    expect(button).to_have_text("收起")
