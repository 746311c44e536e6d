"""i2v.web.page.tabs.queue: its handlers over a real store, and the tab in a real browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from i2v.jobs.model import Progress
from i2v.web.page.tabs import queue
from i2v.web.page.tabs.queue import QueueTab, QueueView
from i2v.web.page.tabs.widgets import Opened
from tests.job_crew import result_of
from tests.web.browser import Visit, is_selected, needs_chromium, select
from tests.web.house import House, wait_for
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run
from tests.web.pages import Gates

# --- handlers


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench[QueueTab]]:
    with open_bench(tmp_path, QueueTab, QueueView(), service__max_queued=3) as opened:
        yield opened


def test_the_lists_follow_the_store_and_only_what_is_new_is_sent(bench: Bench[QueueTab]) -> None:
    tab = bench.tab

    async def look() -> None:
        updates = tab.follow(bench.values())
        assert "No jobs are running" in (await next_of(updates))[tab.running]
        first, second = bench.submit("first"), bench.submit("second")
        shown = await next_of(updates)
        assert shown.keys() == {tab.running, tab.waiting}
        assert shown[tab.waiting].index("first") < shown[tab.waiting].index("second")
        claim = bench.store.claim("test")
        assert claim is not None
        assert "first" in (await next_of(updates))[tab.running]
        bench.store.heartbeat(claim, Progress("denoising", 0.5, 2, 4, eta_seconds=70.0))
        shown = await next_of(updates)
        assert "step 2 of 4" in shown[tab.running]
        assert "starts in about 70 s" in shown[tab.waiting]
        bench.store.heartbeat(claim, Progress("denoising", 0.6, 3, 4, eta_seconds=69.0))
        assert (await next_of(updates)).keys() == {tab.running}, "all that wait were sent again"
        bench.store.finish(claim, result_of(claim.job.id))
        assert "first" in (await next_of(updates))[tab.finished]
        bench.context.closing.set()
        assert [later async for later in updates] == []
        assert (first.id, second.id) != ("", "")

    asyncio.run(look())


def test_another_language_is_shown_only_where_somebody_looks(bench: Bench[QueueTab]) -> None:
    tab = bench.tab
    assert tab.running not in run(tab.switch(bench.values("zh-CN")))

    async def look() -> None:
        updates = tab.follow(bench.values())
        assert "No jobs are running" in (await next_of(updates))[tab.running]
        assert "没有正在运行" in (await tab.switch(bench.values("zh-CN")))[tab.running]
        bench.submit()
        assert "个排队中" in (await next_of(updates))[tab.running], "it fell back into the old language"
        await updates.aclose()  # type: ignore[attr-defined]

    asyncio.run(look())
    assert bench.view.follower is None


def test_cancel_and_retry_show_what_has_become_of_it_at_once(bench: Bench[QueueTab]) -> None:
    tab, job = bench.tab, bench.submit()
    shown = run(tab.act(bench.values(), clicked("cancel", job.id)))
    assert bench.service.get(job.id).status == "cancelled"
    assert "No jobs are running" in shown[tab.running]
    assert "Cancelled" in shown[tab.finished]
    shown = run(tab.act(bench.values(), clicked("retry", job.id)))
    assert bench.service.get(job.id).status == "queued"
    assert "Next in the queue" in shown[tab.waiting]


def test_what_cannot_be_done_is_said_in_the_pages_language(bench: Bench[QueueTab]) -> None:
    tab, job = bench.tab, bench.submit()
    bench.service.cancel(job.id)
    bench.view.language = "zh-CN"
    assert "不能取消" in run(tab.act(bench.values(), clicked("cancel", job.id)))[tab.message]
    bench.view.language = "en"
    for _ in range(3):
        bench.submit()
    assert "the limit is 3" in run(tab.act(bench.values(), clicked("retry", job.id)))[tab.message]
    assert "no longer exists" in run(tab.act(bench.values(), clicked("cancel", "0" * 32)))[tab.message]
    assert run(tab.act(bench.values(), clicked("<b>")))[tab.message] == ""


def test_open_hands_the_job_to_the_first_tab(bench: Bench[QueueTab]) -> None:
    job = bench.submit()
    shown = run(bench.tab.act(bench.values(), clicked("open", job.id)))
    assert shown == {bench.shared.opened: Opened(job=job.id)}


def test_an_ended_job_is_deleted_by_its_button_and_the_list_shows_it(bench: Bench[QueueTab]) -> None:
    tab, job, other = bench.tab, bench.submit("to be deleted"), bench.submit("to be kept")
    refused = run(tab.act(bench.values(), clicked("delete", job.id)))
    assert "Cancel it before you delete it" in refused[tab.message]
    for each in (job, other):
        bench.service.cancel(each.id)
    shown = run(tab.act(bench.values(), clicked("delete", job.id)))
    assert "Moved to the trash for 3 days" in shown[tab.message]
    assert "to be deleted" not in shown[tab.finished]
    assert "to be kept" in shown[tab.finished]
    assert [each.id for each in bench.service.page().jobs] == [other.id]
    shown = run(tab.act(bench.values(), clicked("undo")))
    assert "Restored." in shown[tab.message]
    assert "to be deleted" in shown[tab.finished]
    assert "Restored" not in run(tab.act(bench.values(), clicked("undo")))[tab.message]


def test_the_queue_is_paused_and_goes_on_by_its_buttons(bench: Bench[QueueTab]) -> None:
    tab = bench.tab
    bench.submit()
    shown = run(tab.act(bench.values(), clicked("pause")))
    assert "The queue is paused" in shown[tab.running]
    assert not bench.executor.run_next()
    assert "The queue is paused" not in run(tab.act(bench.values(), clicked("resume")))[tab.running]
    assert bench.executor.run_next()


def test_jobs_that_wait_are_moved_by_their_buttons(bench: Bench[QueueTab]) -> None:
    tab = bench.tab
    ids = [bench.submit(f"number {number}").id for number in range(3)]

    def order(act: str, job: str) -> list[str]:
        shown = run(tab.act(bench.values(), clicked(act, job)))
        return re.findall(r'title="number (\d)"', shown[tab.waiting])

    assert order("first", ids[2]) == ["2", "0", "1"]
    assert order("down", ids[2]) == ["0", "2", "1"]
    assert order("up", ids[1]) == ["0", "1", "2"]
    bench.service.cancel(ids[0])
    refused = run(tab.act(bench.values(), clicked("up", ids[0])))
    assert "Only waiting jobs can be moved" in refused[tab.message]


def test_all_that_came_to_nothing_is_deleted_by_one_button(bench: Bench[QueueTab]) -> None:
    tab = bench.tab
    done = bench.submit("done")
    assert bench.executor.run_next()
    bench.submit("step 1: refuse")
    assert bench.executor.run_next()
    bench.service.cancel(bench.submit().id)
    waiting = bench.submit("waiting")
    assert 'data-act="clear"' in run(tab.act(bench.values(), clicked("")))[tab.finished]
    bench.view.language = "zh-CN"
    shown = run(tab.act(bench.values(), clicked("clear")))
    assert "已将 2 个任务移到回收站" in shown[tab.message]
    assert 'data-act="clear"' not in shown[tab.finished]
    assert [job.id for job in bench.service.page().jobs] == [waiting.id, done.id]


def test_older_pages_can_be_turned_to_and_back(
    bench: Bench[QueueTab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PAGE", 2)
    tab = bench.tab
    for number in range(5):
        bench.service.cancel(bench.submit(f"number {number}").id)

    def page(act: str, value: str = "") -> tuple[list[str], str]:
        markup = run(tab.act(bench.values(), clicked(act, value)))[tab.finished]
        older = re.search(r'data-act="older" data-id="(\d+)"', markup)
        return re.findall(r'title="number (\d)"', markup), older[1] if older else ""

    first, cursor = page("")
    second, further = page("older", cursor)
    third, end = page("older", further)
    assert (first, second, third, end) == (["4", "3"], ["2", "1"], ["0"], "")
    assert page("newer")[0] == second
    assert page("newer")[0] == first
    shown = run(tab.act(bench.values(), clicked("older", "abc")))
    assert "cursor" in shown[tab.message]
    assert page("")[0] == first, "a cursor that is none was kept"


# --- in a browser


def row(page: Page, prompt: str) -> Locator:
    return page.locator(".i2v-job", has_text=prompt)


@pytest.mark.slow
@needs_chromium
def test_a_job_is_watched_and_others_are_cancelled_retried_and_opened_also_with_the_keyboard(
    visit: Visit, house: House, gates: Gates
) -> None:
    page = visit("queue")
    first = house.submit_id(f"{gates.prompt(2, 3, 4)}; the one that runs")
    second, third = house.submit_id("frame 1: sleep 0; the one that waits"), house.submit_id("the one behind")
    steps, waiting = row(page, "the one that runs"), page.locator("#i2v-queue-waiting")
    expect(steps).to_contain_text("step 1 of 10")
    expect(steps.locator("img")).to_have_attribute("src", re.compile("preview"))
    gates.open(2)
    expect(steps).to_contain_text("step 2 of 10")  # it moves
    expect(waiting).to_contain_text("the one that waits")
    picture = waiting.locator("img").first
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
    # The second click finds the next job's button in that place.
    waiting.get_by_role("button", name="Cancel").first.dblclick(delay=200)
    finished = page.locator("#i2v-queue-finished .i2v-job").first
    expect(finished).to_contain_text("Cancelled")
    expect(waiting).not_to_contain_text("the one that waits")
    assert house.service.get(second).status == "cancelled"
    assert house.service.get(third).status == "queued"
    finished.get_by_role("button", name="Retry").click()
    expect(waiting).to_contain_text("the one that waits")

    button = waiting.get_by_role("button", name="Cancel: the one behind")
    button.focus()
    house.submit_id("the last one")
    expect(waiting).to_contain_text("the last one")
    expect(button).to_be_focused()  # though the list was shown again
    page.keyboard.press("Enter")
    expect(row(page, "the one behind")).to_contain_text("Cancelled")
    running = page.locator("#i2v-queue-running").get_by_role("button", name="Cancel:")
    running.focus()
    gates.open(3)
    expect(steps).to_contain_text("step 3 of 10")
    expect(running).to_be_focused()
    page.keyboard.press("Enter")
    wait_for(lambda: house.store.get(first).cancel_requested)
    gates.open(4)
    expect(steps).to_contain_text("Cancelled")

    done = row(page, "the one that waits")
    for each in (done, row(page, "the last one")):
        expect(each).to_contain_text("Done")  # and no row moves any more
    done.get_by_role("button", name="Open").click()
    is_selected(page, "generate")
    expect(page.locator("#i2v-prompt textarea")).to_have_value("frame 1: sleep 0; the one that waits")
    expect(page.locator(f"#i2v-frame video[src*='{second}']")).to_be_visible()


@pytest.mark.slow
@needs_chromium
def test_on_a_phone_the_queue_follows_the_language_and_comes_back_after_another_tab(
    visit: Visit, house: House
) -> None:
    page = visit("queue", width=390)
    house.submit_id("word" * 100)
    expect(row(page, "wordword").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heading = page.locator("#i2v-queue-running h2")
    expect(heading).to_contain_text("Running and waiting")
    page.click("#i2v-language label:has-text('简体中文')")
    expect(heading).to_contain_text("运行中和排队中")
    job = house.submit_id("step 3: fail")
    failed = row(page, "step 3: fail").first
    expect(failed).to_contain_text("失败")
    expect(failed).to_contain_text("请重试任务")
    with page.expect_response("**/gradio_api/cancel"):  # the queue is no longer followed
        select(page, "gallery")
    house.service.delete(job)
    select(page, "queue")
    expect(row(page, "step 3: fail")).to_have_count(0)


@pytest.mark.slow
@needs_chromium
def test_who_leaves_the_queue_and_comes_back_at_once_sees_what_happens(visit: Visit, house: House) -> None:
    page = visit("queue")
    job = house.submit_id("step 3: fail")
    failed = row(page, "step 3: fail").first
    expect(failed).to_contain_text("Failed")
    page.evaluate(  # at once, before the browser has ended what was shown
        "for (const tab of ['gallery', 'queue']) document.getElementById(`i2v-tab-${tab}-button`).click()"
    )
    house.service.retry(job)
    wait_for(lambda: house.service.get(job).status == "failed")
    expect(failed).to_contain_text("Failed")
    house.service.delete(job)
    expect(row(page, "step 3: fail")).to_have_count(0)


@pytest.mark.slow
@needs_chromium
def test_an_ended_job_is_deleted_with_the_keyboard_alone(visit: Visit, house: House) -> None:
    job = house.store.get(house.submit_id("to be deleted by key"))
    page = visit("queue")
    wait_for(lambda: house.service.get(job.id).status == "succeeded")
    delete = row(page, "to be deleted by key").locator("[data-act=delete]")
    delete.focus()
    page.keyboard.press("Enter")
    message = page.locator("#i2v-queue-message")
    expect(message).to_contain_text("Moved to the trash")
    expect(row(page, "to be deleted by key")).to_have_count(0)
    assert not Path(job.output).exists()
    message.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(row(page, "to be deleted by key")).to_have_count(1)
    assert Path(job.output).exists()

    house.service.library.star(job.id, True)
    expect(delete).to_have_attribute("data-confirm", "It has a star. Delete it?")
    delete.focus()
    page.keyboard.press("Enter")
    expect(delete).to_have_text("It has a star. Delete it?")
    expect(delete).to_have_attribute("aria-label", "Delete: to be deleted by key")  # left alone
    assert house.service.get(job.id).status == "succeeded"


@pytest.mark.slow
@needs_chromium
def test_a_clip_that_is_gone_or_cannot_be_played_says_so_in_gallery_and_player(
    visit: Visit, house: House
) -> None:
    gone, zeros = (house.store.get(house.submit_id(f"its frames are {what}")) for what in ("gone", "zeros"))
    wait_for(lambda: house.service.get(zeros.id).status == "succeeded")
    data = Path(zeros.output).read_bytes()
    frames = data.index(b"mdat") + 4
    Path(zeros.output).write_bytes(data[:frames] + bytes(len(data) - frames))
    Path(gone.output).unlink()
    page = visit("gallery")
    card = page.locator(".i2v-clip", has_text="its frames are zeros")
    card.hover()
    expect(card.locator(".i2v-unplayable")).to_have_attribute("data-broken", "Video file damaged.")
    card.get_by_role("button", name="Open").click()
    expect(page.locator("#i2v-frame .i2v-unplayable")).to_be_visible()
    select(page, "gallery")
    card = page.locator(".i2v-clip", has_text="its frames are gone")
    expect(card).to_contain_text("Video file missing.")
    picture = card.locator("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
    card.get_by_role("button", name="Open").click()
    is_selected(page, "generate")
    expect(page.locator("#i2v-frame")).to_contain_text("Video file missing.")
    expect(page.locator("#i2v-status")).to_contain_text(gone.output)
    expect(page.locator("#i2v-frame video")).to_have_count(0)
