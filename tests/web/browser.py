"""What tests need to use the page as a person does, with Debian's chromium (`apt-get install chromium`)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.web.house import House

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no program called chromium is installed")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
WAIT = 60_000  # milliseconds: what a busy machine may do late
expect.set_options(timeout=WAIT)

Visit = Callable[..., Page]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser; only after the page is mounted, which cannot be done where a loop runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visits(house: House, browser: Browser) -> Iterator[Visit]:
    """Give a function that opens the page as a new visitor, at a tab; no request may leave this machine."""
    asked: list[str] = []
    contexts = []

    def open_page(
        tab: str = "generate", locale: str = "en-US", width: int = 1200, scheme: str = "light", **more: object
    ) -> Page:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(locale=locale, viewport=viewport, color_scheme=scheme, **more)
        contexts.append(context)
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(house.url)
        expect(page.locator("#i2v-plan")).to_contain_text(re.compile("No estimate|About|暂无|约"))
        if tab != "generate":
            select(page, tab)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((house.url, "data:", "blob:"))] == []


def select(page: Page, tab: str) -> None:
    page.click(f"#i2v-tab-{tab}-button")


def is_selected(page: Page, tab: str) -> None:
    expect(page.locator(f"#i2v-tab-{tab}-button")).to_have_attribute("aria-selected", "true")


def choose_engine(page: Page, title: str) -> None:
    """Choose the engine whose card begins with `title`."""
    page.click("#i2v-engine-change button")
    page.locator("#i2v-engine label").filter(has_text=re.compile(rf"^\s*{title}")).click()


def click_twice(button: Locator) -> None:
    """Double-click, however slow the machine is: both at the same moment."""
    button.evaluate("button => { button.click(); button.click(); }")


def keep_asking(page: Page) -> None:
    """Have buttons that ask first ask for minutes: on a busy machine, the usual 5 s are over too soon."""
    page.evaluate(
        "() => { const begin = window.setTimeout;"
        " window.setTimeout = (run, wait, ...more) => begin(run, wait === 5000 ? 300000 : wait, ...more); }"
    )
