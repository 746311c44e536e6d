"""The batch: its handlers, and in a real browser three pictures, one of them broken."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import expect

from i2v.web.page import batch_panels
from i2v.web.page.batch_panels import Entry
from i2v.web.page.tabs.batch import Batch, BatchTab
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.widgets import Opened, Shared
from i2v.web.texts import translate
from tests.rehearsal import picture
from tests.web.browser import Visit, click_twice, is_selected, needs_chromium
from tests.web.house import House
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run

BatchBench = Bench[BatchTab]


def make_tab(shared: Shared) -> BatchTab:
    form = Form(shared.labels, shared.context.service.engines)
    form.advanced(shared.labels)
    return BatchTab(shared, form)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BatchBench]:
    with open_bench(tmp_path, make_tab, Batch(), service__max_queued=3) as opened:
        yield opened


def write(folder: Path, *names: str) -> list[Path]:
    """Write pictures; those called "bad" are none."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"no picture" if path.stem == "bad" else picture())
    return paths


def send(bench: BatchBench, paths: list[Path], prompt: str = "nothing", **form: object) -> list[str]:
    """Press the button; return what is told, line after line."""
    return run(press(bench, paths, prompt, **form))


async def press(bench: BatchBench, paths: list[Path], prompt: str = "nothing", **form: object) -> list[Any]:
    tab = bench.tab
    untouched = {widget: getattr(widget, "value", None) for widget in tab._form.inputs()}
    changed = {getattr(tab._form, name): value for name, value in form.items()}
    sent = {tab.pictures: paths, tab.prompt: prompt}
    answers = [each async for each in tab.submit({**untouched, **changed, **bench.values(), **sent})]
    return [each if each == gr.skip() else each[tab.message] for each in answers]


def rows(bench: BatchBench) -> str:
    return str(run(next_of(bench.tab.follow(bench.values())))[bench.tab.list])


def jobs(bench: BatchBench) -> list[Any]:
    """Return the jobs in the order of their submission."""
    return list(reversed(bench.service.page().jobs))


# --- handlers


def entries(bench: BatchBench) -> list[Entry]:
    assert isinstance(bench.view, Batch)
    return list(bench.view.entries)


def test_each_picture_becomes_a_job_in_order_with_the_forms_settings(
    bench: BatchBench, tmp_path: Path
) -> None:
    told = send(bench, write(tmp_path, "c.png", "a.png", "b.png"), "a pan", fps=5, fit="pad")
    assert [re.findall(r"\d of \d", line) for line in told] == [["1 of 3"], ["2 of 3"], ["3 of 3"], []]
    asked = [{name: job.request[name] for name in ("prompt", "fps", "fit")} for job in jobs(bench)]
    assert asked == [{"prompt": "a pan", "fps": 5, "fit": "pad"}] * 3
    assert len({job.generation.seed for job in jobs(bench)}) == 3
    assert [(entry.name, entry.job) for entry in entries(bench)] == [
        (name, job.id) for name, job in zip(("c.png", "a.png", "b.png"), jobs(bench), strict=True)
    ]


def test_a_seed_that_is_given_is_everybodys(bench: BatchBench, tmp_path: Path) -> None:
    send(bench, write(tmp_path, "a.png", "b.png"), seed="7")
    assert [job.generation.seed for job in jobs(bench)] == [7, 7]


def test_a_bad_picture_does_not_stop_the_others(bench: BatchBench, tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"  # tidied up since it was uploaded
    send(bench, [*write(tmp_path, "a.png", "bad.png"), gone, *write(tmp_path, "z.png")])
    assert len(jobs(bench)) == 2
    errors = [entry.error for entry in entries(bench)]
    codes = [error and error["code"] for error in errors]
    assert codes == [None, "image.unknown_format", "image.unreadable", None]
    assert all(escape(translate(error, "en")) in rows(bench) for error in errors if error)
    assert "gone.png: No such file" in rows(bench)
    assert str(tmp_path) not in rows(bench)


def test_two_clicks_at_once_are_one_and_a_later_one_is_another(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a.png")

    async def click_twice() -> list[list[Any]]:
        return await asyncio.gather(press(bench, paths), press(bench, paths))

    assert run(click_twice())[1] == [gr.skip()]
    assert len(jobs(bench)) == 1
    send(bench, [], "nothing is sent")  # an error does not block the next one
    send(bench, paths)
    assert len(jobs(bench)) == 2


def test_a_full_queue_ends_the_batch_and_says_what_was_left_out(bench: BatchBench, tmp_path: Path) -> None:
    told = send(bench, write(tmp_path, "a.png", "b.png", "c.png", "d.png", "<e>.png"))[-1]
    assert "3 jobs are waiting" in told
    assert "Not submitted: d.png, &lt;e&gt;.png" in told
    assert [entry.left for entry in entries(bench)] == [False] * 3 + [True] * 2
    assert rows(bench).count("not submitted") == 2


WRONG: list[tuple[tuple[str, ...], str, dict[str, object], str]] = [
    ((), "a pan", {}, "Add a picture first"),
    (("a.png",), "a pan", {"fps": float("nan")}, "Frames per second: nan is not valid"),
    (("a.png",), "a pan", {"seed": "x"}, "Seed: x is not valid"),
    (("a.png",), " ", {}, "Describe what should happen first"),
]


def test_what_is_wrong_with_all_is_said_once_and_nothing_is_sent(bench: BatchBench, tmp_path: Path) -> None:
    for names, prompt, form, told in WRONG:
        [line] = send(bench, write(tmp_path, *names), prompt, **form)
        assert told in line
    assert jobs(bench) == []
    assert entries(bench) == []


def test_the_rows_follow_the_jobs_and_the_language(bench: BatchBench, tmp_path: Path) -> None:
    async def look() -> list[str]:
        news = bench.tab.follow(bench.values())
        shown = [await next_of(news)]
        await asyncio.to_thread(send, bench, write(tmp_path, "a.png", "bad.png"))
        shown.append(await next_of(news))
        bench.executor.run_next()
        shown.append(await next_of(news))
        await bench.tab.speak(bench.values("zh-CN"))
        shown.append(await next_of(news))
        bench.service.delete(entries(bench)[0].job)
        shown.append(await next_of(news))
        return [str(updates[bench.tab.list]) for updates in shown]

    empty, sent, done, chinese, deleted = run(look())
    assert empty == ""
    assert "0 of 2 done · 1 failed or cancelled" in sent
    assert "1 of 2 done · 1 failed or cancelled" in done
    assert "已完成 1/2" in chinese
    assert "已删除" in deleted


def test_the_buttons_lead_to_the_job_and_to_the_queue(bench: BatchBench) -> None:
    opened = run(bench.tab.act(clicked("open", "0" * 32)))
    assert opened == {bench.shared.opened: Opened(job="0" * 32), bench.shared.tabs: gr.skip()}
    queue = run(bench.tab.act(clicked("queue")))
    assert queue[bench.shared.opened] == Opened()
    assert queue[bench.shared.tabs]["selected"] == "queue"
    assert run(bench.tab.act(clicked("fly"))) == {bench.shared.opened: Opened(), bench.shared.tabs: gr.skip()}


def test_a_reloaded_window_has_the_last_batch_again(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a.png", "bad.png")

    async def remembered() -> Any:
        tab = bench.tab
        untouched = {widget: getattr(widget, "value", None) for widget in tab._form.inputs()}
        sent = {**untouched, **bench.values(), tab.pictures: paths, tab.prompt: "x"}
        return [each[bench.shared.remembered] async for each in tab.submit(sent)][-1]

    kept = json.loads(json.dumps(run(remembered())))  # as a browser keeps it
    assert [name for name, _ in kept["batch"]] == ["a.png", "bad.png"]
    bench.view.entries = ()  # type: ignore[attr-defined]
    values = bench.values() | {bench.shared.remembered: kept}
    shown = run(next_of(bench.tab.follow(values)))[bench.tab.list]
    assert "a.png" in shown
    assert jobs(bench)[0].id in shown
    assert "not submitted" in shown


def test_how_long_a_batch_takes_is_said_before(bench: BatchBench, tmp_path: Path) -> None:
    tab = bench.tab
    untouched = {widget: getattr(widget, "value", None) for widget in tab._form.inputs()}
    asked = {**untouched, **bench.values(), tab.pictures: write(tmp_path, "a.png", "b.png"), tab.prompt: "x"}
    assert "2 clips. No estimate yet" in run(tab.forecast(asked))
    assert run(tab.forecast(asked | {tab.pictures: None})) == ""
    assert run(tab.forecast(asked | {tab.pictures: write(tmp_path, "bad.png")})) == ""
    assert "2 clips, about 40 s each: about 80 s in all" in batch_panels.forecast(2, 41.0, "en")


# --- in a browser


@needs_chromium
def test_of_three_pictures_a_broken_one_is_told_and_two_become_videos(visit: Visit, house: House) -> None:
    page = visit("batch", width=390)
    files = [
        {"name": name, "mimeType": "image/png", "buffer": data}
        for name, data in (
            ("a.png", house.picture),
            ("<b>.png", house.picture[:60]),
            ("c.png", house.picture),
        )
    ]
    page.set_input_files("#i2v-batch-drop input[type=file]", files)
    expect(page.locator("#i2v-batch-drop a[href$='/c.png']")).to_be_visible()
    page.fill("#i2v-batch-prompt textarea", "two of three")
    click_twice(page.locator("#i2v-batch-go"))
    expect(page.locator("#i2v-batch li")).to_have_count(3)
    expect(page.locator("#i2v-batch")).to_contain_text("2 of 3 done · 1 failed or cancelled")
    expect(page.locator("#i2v-batch li").nth(1)).to_contain_text("damaged or incomplete")
    expect(page.locator("#i2v-batch-message")).to_have_text("")
    assert [job["request"]["prompt"] for job in house.get("/jobs").json()["jobs"]] == ["two of three"] * 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.reload()
    expect(page.locator("#i2v-batch")).to_contain_text("2 of 3 done")
    page.get_by_role("button", name="Show queue").click()
    is_selected(page, "queue")
    page.click("#i2v-tab-batch-button")
    page.locator("#i2v-batch li").nth(2).get_by_role("button", name="Open").click()
    is_selected(page, "generate")
    expect(page.locator("#i2v-prompt textarea")).to_have_value("two of three")
