"""i2v.web.page.tabs.system: its handlers over a real service, and the tab in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.web.page.tabs.system import SystemTab, SystemView
from tests.receivers import receiving, status
from tests.rehearsal import REHEARSAL
from tests.web.browser import Visit, needs_chromium
from tests.web.house import House, wait_for
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run

TOKEN = "a-token-of-more-than-16-characters"

# --- handlers


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench[SystemTab]]:
    log = tmp_path / "logs" / "app_20250405_142310.log"
    log.parent.mkdir()
    log.write_text(f"a line\nsomebody wrote {TOKEN} here\n")
    with open_bench(tmp_path, SystemTab, SystemView(), log, security__token=TOKEN) as opened:
        yield opened


async def findings(bench: Bench[SystemTab]) -> list[str]:
    return [message async for message in bench.tab.examine(bench.values())]


def test_this_machine_is_reported_and_the_log_as_it_grows(bench: Bench[SystemTab]) -> None:
    tab = bench.tab

    async def look() -> None:
        updates = tab.follow(bench.values())
        shown = await next_of(updates)
        assert str(bench.settings.output.directory) in shown[tab.about]
        assert "somebody wrote *** here" in shown[tab.log]
        assert bench.context.log is not None
        with bench.context.log.open("a") as log:
            log.write("one line more\n")
        assert "one line more" in (await next_of(updates))[tab.log]
        bench.context.log.unlink()
        assert "No such file" in (await next_of(updates))[tab.log]
        await updates.aclose()  # type: ignore[attr-defined]

    asyncio.run(look())


def test_the_token_is_nowhere(bench: Bench[SystemTab]) -> None:
    async def everything() -> str:
        updates = bench.tab.follow(bench.values())
        shown = await next_of(updates)
        await updates.aclose()  # type: ignore[attr-defined]
        return " ".join([*shown.values(), *await findings(bench)])

    answer = run(everything())
    assert "somebody wrote" in answer
    assert TOKEN not in answer


def test_a_device_that_is_not_known_yet_or_cannot_be_had_keeps_nothing_waiting(
    bench: Bench[SystemTab], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = bench.tab

    def refuse() -> DeviceInfo:
        raise InsufficientMemory("device.no_cuda")

    async def first() -> str:
        updates = tab.follow(bench.values())
        shown = await next_of(updates)
        await updates.aclose()  # type: ignore[attr-defined]
        return str(shown[tab.about])

    monkeypatch.setattr(bench.executor, "device_now", lambda: None)
    assert "Not known yet" in run(first())
    monkeypatch.setattr(bench.executor, "device_now", refuse)
    assert "CUDA" in run(first())


def test_the_examination_says_that_it_is_under_way_then_what_it_found(bench: Bench[SystemTab]) -> None:
    under_way, found = run(findings(bench))
    assert "Checking memory" in under_way
    assert f"the model folder {bench.settings.models.directory / REHEARSAL.name} is complete" in found
    assert str(bench.context.log.parent) in found  # type: ignore[union-attr]

    async def look() -> str:
        updates = bench.tab.follow(bench.values())
        await next_of(updates)
        shown = await bench.tab.switch(bench.values("zh-CN"))
        await updates.aclose()  # type: ignore[attr-defined]
        return str(shown[bench.tab.report])

    assert "完整" in run(look()), "the findings do not follow the language"


def test_an_examination_that_cannot_be_made_says_why(bench: Bench[SystemTab]) -> None:
    bench.service.engines = {}
    assert "no model rehearsal" in run(findings(bench))[-1]


def test_messages_that_were_given_up_are_sent_again_at_the_press_of_a_button(tmp_path: Path) -> None:
    with receiving(status(410)) as receiver:
        endpoints = json.dumps([{"url": f"{receiver.url}/PATHSECRET", "events": ["job.submitted"]}])
        flags = {"webhooks__endpoints": endpoints, "webhooks__allowed_hosts": "127.0.0.1"}
        with open_bench(tmp_path, SystemTab, SystemView(), **flags) as bench:
            tab, webhooks = bench.tab, bench.service.webhooks
            assert tab._webhooks("en") == ""
            webhooks.start()
            bench.submit()
            wait_for(lambda: webhooks.counts()["failed"] == 1)
            assert "The receiver wants no more messages" in tab._webhooks("en")
            assert "PATHSECRET" not in tab._webhooks("en")
            receiver.usual = status(200)
            other = run(tab.redeliver(bench.values(), clicked("delete")))
            assert webhooks.counts()["failed"] == 1, other
            updates = run(tab.redeliver(bench.values(), clicked("redeliver")))
            assert "Sending again: 1" in updates[tab.message]
            wait_for(lambda: webhooks.counts()["delivered"] == 1)
            webhooks.stop()


# --- in a browser


@pytest.mark.slow
@needs_chromium
def test_on_a_phone_this_machine_is_checked_at_the_press_of_a_button(visit: Visit, house: House) -> None:
    page = visit("system", width=390)
    about = page.locator("#i2v-system")
    expect(page.locator("#i2v-models")).to_contain_text("Rehearsal")
    expect(about.get_by_role("link")).to_have_attribute("href", "docs")
    expect(page.locator("#i2v-system-log")).to_contain_text("a line of the log")
    page.click("#i2v-system-check")
    report = page.locator("#i2v-system-report")
    expect(report).to_contain_text("ffmpeg encoded and decoded a test clip")
    expect(about).to_contain_text("Versions")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#i2v-language label:has-text('简体中文')")
    expect(report).to_contain_text("编码和解码测试视频")
    expect(about).to_contain_text("文件夹")
