"""i2v.web.page.tabs.models: a model is fetched on the page from a hub on this machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from i2v.core.memory_plan import DeviceInfo
from i2v.engines.registry import engines
from i2v.web.page.tabs.models import ModelsSection, ModelsView
from i2v.weights.folders import own_folder
from tests.web.browser import Visit, choose_engine, is_selected, keep_asking, needs_chromium, select
from tests.web.house import House
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run
from tests.web.pages import page_house
from tests.weights import hub as hubs
from tests.weights.families import ASKING, repositories
from tests.weights.hub import Hub

# --- handlers


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench[ModelsSection]]:
    with open_bench(tmp_path, ModelsSection, ModelsView()) as opened:
        yield opened


def test_what_cannot_be_done_is_said_until_something_else_is_pressed(bench: Bench[ModelsSection]) -> None:
    section, values = bench.tab, bench.values()

    async def press() -> None:
        updates = section.follow(values)
        assert "Rehearsal" in (await next_of(updates))[section.list]
        await section.act(values, clicked("download", "rehearsal"))
        assert "i2v models add rehearsal" in (await next_of(updates))[section.message]
        await section.act(values, clicked("explode", "rehearsal"))
        assert (await next_of(updates))[section.message] == ""
        await section.act(values, clicked("remove", "no-such"))
        assert "no model no-such" in (await next_of(updates))[section.message]
        await section.speak(bench.values("zh-CN"))
        shown = await next_of(updates)
        assert "模型" in shown[section.progress]
        assert "已安装" in shown[section.list]
        assert shown[section.message] == ""
        await updates.aclose()  # type: ignore[attr-defined]

    asyncio.run(press())


def test_a_folder_that_does_not_fit_stays_in_the_field(bench: Bench[ModelsSection], tmp_path: Path) -> None:
    values = bench.values() | {bench.tab.path: str(tmp_path), bench.tab.model: "rehearsal"}
    assert run(bench.tab.add_folder(values)) != ""
    assert "i2v-error" in bench.view.message  # type: ignore[attr-defined]


# --- in a browser: a machine with a card and without the weights


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        with hubs.running(Hub(hubs.make_files(), others=repositories())) as started:
            yield started


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes, hub: Hub) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("models")
    flags = {"sources": hub.address, "search_paths": (), "hub_cache": folder / "nowhere"}
    given = {f"models__{name}": value for name, value in flags.items()}
    with page_house(
        folder, picture, {**engines(), "asking": ASKING}, engine__name="auto", **given
    ) as started:
        started.executor._device = DeviceInfo("cuda", "NVIDIA H100", 80 * 2**30)
        yield started


def press(page: Page, label: str, confirm: str = "") -> None:
    keep_asking(page)
    buttons = page.locator(".i2v-model").first
    asks = buttons.get_by_role("button", name=re.compile(confirm))
    buttons.get_by_role("button", name=label).click()
    if not confirm:
        return
    page.wait_for_timeout(500)  # nearer, it is a double click
    while not asks.count():  # the list was drawn anew meanwhile
        buttons.get_by_role("button", name=label).click()
        page.wait_for_timeout(500)
    asks.click()


def a_chosen_model_that_is_missing_is_fetched_beside_the_choice(page: Page, house: House) -> None:
    spec = engines()["i2vgen-xl"]
    choose_engine(page, "I2VGen-XL")
    missing = page.locator("#i2v-missing")
    for words in ("I2VGen-XL is not installed here", "4.98 GB", "MIT"):
        expect(missing).to_contain_text(words)
    missing.get_by_role("button", name="Download").click()
    page.wait_for_timeout(500)  # nearer, it is a double click
    missing.get_by_role("button", name=re.compile("Download .* now")).click()
    expect(missing).to_be_hidden()  # it is here
    assert not house.service.models.missing(spec)


@pytest.mark.slow
@needs_chromium
def test_a_model_is_fetched_checked_and_deleted_and_the_first_tab_follows(
    visit: Visit, house: House, hub: Hub, tmp_path: Path
) -> None:
    hub.speed = 100_000
    page = visit()
    about, card = page.locator("#i2v-about"), page.locator(".i2v-model").first
    progress = page.locator("#i2v-models-progress")
    expect(about).to_contain_text("no larger model is installed")
    page.get_by_role("button", name="Download I2VGen-XL (4.98 GB)").click()
    is_selected(page, "system")
    expect(card).to_contain_text("Not installed")
    expect(card).to_contain_text(hub.address)
    page.fill("#i2v-models-path input, #i2v-models-path textarea", str(tmp_path))
    page.click("#i2v-models-add-go")
    expect(page.locator("#i2v-models-message")).to_contain_text("is not a model folder")

    press(page, "Download", "Download 4.98 GB now")
    bar = progress.get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(progress).to_contain_text("MB/s")
    expect(progress).to_contain_text(f"from {hub.address}")
    expect(card).to_contain_text("Downloading")
    hub.speed = 1_000  # so that it cannot end before it is cancelled, however slow this machine is
    page.close()  # it goes on

    page = visit("system")
    card, progress = page.locator(".i2v-model").first, page.locator("#i2v-models-progress")
    expect(progress.get_by_role("progressbar")).to_be_visible()
    press(page, "Cancel")
    expect(progress).to_contain_text("Files downloaded so far are kept")
    expect(card).to_contain_text("Incomplete")

    hub.speed = 0
    press(page, "Resume download", "Download .* now")
    expect(card).to_contain_text("Installed")
    expect(progress).to_contain_text("all files match the checksums")
    expect(page.locator("#i2v-system")).to_contain_text("Using I2VGen-XL")
    select(page, "generate")
    expect(page.locator("#i2v-about")).to_contain_text("Using I2VGen-XL")
    expect(page.locator("#i2v-missing")).to_be_hidden()

    select(page, "system")
    press(page, "Verify")
    expect(progress).to_contain_text("all files match the checksums")
    press(page, "Delete", "Permanently delete")
    expect(card).to_contain_text("Not installed")
    expect(page.locator("#i2v-models-message")).to_contain_text("was removed")
    assert not own_folder(engines()["i2vgen-xl"], house.settings.models).exists()
    select(page, "generate")
    a_chosen_model_that_is_missing_is_fetched_beside_the_choice(page, house)


@pytest.mark.slow
@needs_chromium
def test_a_licence_is_accepted_with_the_button_that_names_it(visit: Visit, house: House) -> None:
    page = visit("system")
    card = page.get_by_role("listitem", name="Asking")
    expect(card.get_by_role("link", name="Community")).to_have_attribute(
        "href", "https://example.org/licence"
    )
    keep_asking(page)
    card.get_by_role("button", name="Download").click()
    page.wait_for_timeout(500)  # nearer, it is a double click
    card.get_by_role("button", name=re.compile("Accept the licence Community and download")).click()
    expect(card).to_contain_text("Installed")
    record = house.settings.models.directory / ".i2v" / "licences.json"
    assert "Community" in record.read_text()
