"""Fixtures of the tabs' tests: one house for a file, with its jobs run as they come, and visitors to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.web.browser import Visit, open_browser, visits
from tests.web.house import House
from tests.web.pages import Gates, page_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("page"), picture) as started, started.executor.working():
        yield started


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture
def visit(house: House, browser: Browser) -> Iterator[Visit]:
    """`visit(tab="gallery", locale="zh-CN", width=390, scheme="dark")` opens the page."""
    with visits(house, browser) as opening:
        yield opening


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Gates]:
    """Gates for jobs; all are open when the test has ended, or the next one's job would wait behind them."""
    made = Gates(tmp_path)
    yield made
    made.open_all()
