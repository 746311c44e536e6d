"""The engine's cards in a real browser: by mouse and by keyboard, small until they are needed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.web.browser import Visit, choose_engine, needs_chromium
from tests.web.house import House, wait_for
from tests.web.pages import QUICK

pytestmark = needs_chromium


@pytest.mark.parametrize(
    ("locale", "change", "close"), [("en-US", "Change", "Close"), ("zh-CN", "更换", "收起")]
)
def test_one_card_is_shown_until_another_one_is_wanted(
    visit: Visit, locale: str, change: str, close: str
) -> None:
    page = visit(locale=locale)
    button, cards = page.locator("#i2v-engine-change button"), page.locator("#i2v-engine label")
    expect(cards.filter(visible=True)).to_have_count(1)
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(cards.filter(visible=True)).to_have_count(3)
    expect(button).to_have_text(close)
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#i2v-engine input:checked")).to_be_focused()
    cards.last.click()
    expect(cards.filter(visible=True)).to_have_count(1)
    expect(page.locator("#i2v-engine input:checked")).to_have_value("contrary")
    expect(button).to_have_text(change)


def test_arrows_choose_and_esc_closes_the_cards_and_cancels_nothing(visit: Visit) -> None:
    page = visit()
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


def test_a_card_tells_what_clips_like_this_took_here(visit: Visit, house: House) -> None:
    job = house.submit_id(QUICK)
    wait_for(lambda: house.get(f"/jobs/{job}").json()["status"] == "succeeded")
    page = visit()
    choose_engine(page, "Rehearsal")
    card = page.locator("#i2v-engine label").filter(visible=True)
    expect(card).to_contain_text(re.compile(r"^\s*Rehearsal\s.*\d s here · installed"))
