"""The batch: its handlers, and in a real browser three pictures, one of them broken."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import expect

from i2v.jobs.batches import Row
from i2v.service import batches as service_batches
from i2v.web.page import batch_panels
from i2v.web.page.batch_panels import Draft
from i2v.web.page.tabs.batch import BatchTab, BatchView
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.live import DOUBLE_CLICK_SECONDS
from i2v.web.page.tabs.widgets import Opened, Shared
from i2v.web.texts import translate
from tests.rehearsal import picture
from tests.web.browser import Visit, click_twice, is_selected, needs_chromium
from tests.web.house import House, wait_for
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run

BatchBench = Bench[BatchTab]


def make_tab(shared: Shared) -> BatchTab:
    form = Form(shared.labels, shared.context.service.engines)
    form.further(shared.labels)
    form.advanced(shared.labels)
    return BatchTab(shared, form)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchBench]:
    monkeypatch.setattr(service_batches, "PERIOD_SECONDS", 0.02)
    with open_bench(tmp_path, make_tab, BatchView(), service__max_queued=3) as opened:
        opened.service.batches.start()
        yield opened


def write(folder: Path, *names: str) -> list[Path]:
    """Write pictures; those called "bad" are none."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"no picture" if path.stem == "bad" else picture())
    return paths


def asked(bench: BatchBench, paths: list[Path], prompt: str, **form: object) -> dict[Any, Any]:
    tab = bench.tab
    untouched = {widget: getattr(widget, "value", None) for widget in tab._form.inputs()}
    changed = {getattr(tab._form, name): value for name, value in form.items()}
    return {**untouched, **changed, **bench.values(), tab.pictures: paths, tab.prompt: prompt}


def send(bench: BatchBench, paths: list[Path], prompt: str = "nothing", **form: object) -> str:
    """Press the button a while later, wait until the rows are jobs or refused; return what is told."""
    view = bench.view
    assert isinstance(view, BatchView)
    view.sent_at -= DOUBLE_CLICK_SECONDS
    message = run(bench.tab.submit(asked(bench, paths, prompt, **form)))[bench.tab.message]
    if not message:
        wait_for(lambda: all(row.status != "waiting" for row in rows(bench)))
    return str(message)


def rows(bench: BatchBench) -> list[Row]:
    view = bench.view
    assert isinstance(view, BatchView)
    return bench.service.batches.rows(view.batch)


def shown(bench: BatchBench) -> str:
    return str(run(next_of(bench.tab.follow(bench.values())))[bench.tab.list])


def arrange(bench: BatchBench, paths: list[Path], file: Path | None = None) -> tuple[str, str]:
    """Drop pictures and a file; return the table, and what is told."""
    tab = bench.tab
    files = [] if file is None else [file]
    updates = run(tab.arrange(bench.values() | {tab.pictures: paths, tab.file: files}))
    return str(updates[tab.table]), str(updates[tab.message])


def type_in(bench: BatchBench, *texts: object) -> None:
    event = gr.EventData(None, {"act": "prompts", "id": "", "texts": list(texts)})
    run(bench.tab.write(bench.values(), event))


def jobs(bench: BatchBench) -> list[Any]:
    """Return the jobs in the order of their submission."""
    return list(reversed(bench.service.page().jobs))


# --- handlers


def test_each_picture_becomes_a_job_in_order_with_the_forms_settings(
    bench: BatchBench, tmp_path: Path
) -> None:
    names = ("c.png", "a.png", "b.png")
    assert send(bench, write(tmp_path, *names), "a pan", fps=5, fit="pad") == ""
    request = [{name: job.request[name] for name in ("prompt", "fps", "fit")} for job in jobs(bench)]
    assert request == [{"prompt": "a pan", "fps": 5, "fit": "pad"}] * 3
    assert len({job.generation.seed for job in jobs(bench)}) == 3
    assert [(row.name, row.job) for row in rows(bench)] == [
        (name, job.id) for name, job in zip(names, jobs(bench), strict=True)
    ]


def test_a_seed_that_is_given_is_everybodys(bench: BatchBench, tmp_path: Path) -> None:
    send(bench, write(tmp_path, "a.png", "b.png"), seed="7")
    assert [job.generation.seed for job in jobs(bench)] == [7, 7]


def test_a_bad_picture_does_not_stop_the_others(bench: BatchBench, tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"  # tidied up since it was uploaded
    send(bench, [*write(tmp_path, "a.png", "bad.png"), gone, *write(tmp_path, "z.png")])
    assert len(jobs(bench)) == 2
    errors = [row.error for row in rows(bench)]
    codes = [error and error["code"] for error in errors]
    assert codes == [None, "image.unknown_format", "image.unreadable", None]
    assert all(escape(translate(error, "en")) in shown(bench) for error in errors if error)
    assert str(tmp_path) not in shown(bench)


def test_two_clicks_at_once_are_one_and_a_later_one_is_another(bench: BatchBench, tmp_path: Path) -> None:
    values = asked(bench, write(tmp_path, "a.png"), "x")

    async def click_both() -> list[Any]:
        return await asyncio.gather(bench.tab.submit(values), bench.tab.submit(values))

    assert run(click_both())[1] == {bench.tab.message: gr.skip()}
    assert len(bench.service.batches.page()) == 1
    assert run(bench.tab.submit(values)) == {bench.tab.message: gr.skip()}, "the second click may come late"
    assert send(bench, []) != "", "an error does not block the next one"
    send(bench, write(tmp_path, "a.png"))
    assert len(bench.service.batches.page()) == 2


def test_what_finds_no_place_in_the_queue_waits_for_one(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a.png", "b.png", "c.png", "d.png", "e.png")
    run(bench.tab.submit(asked(bench, paths, "x")))
    wait_for(lambda: len(jobs(bench)) == 3)
    assert shown(bench).count("not in the queue yet") == 2
    while len(jobs(bench)) < 5 or bench.store.counts()["queued"]:
        bench.executor.run_next()
    assert "5 of 5 done" in shown(bench)


WRONG: list[tuple[tuple[str, ...], str, dict[str, object], str]] = [
    ((), "a pan", {}, "Add a picture first"),
    (("a.png",), "a pan", {"fps": float("nan")}, "Frames per second: nan is not valid"),
    (("a.png",), "a pan", {"seed": "x"}, "Seed: x is not valid"),
    (("a.png",), " ", {}, "Describe what should happen first"),
]


def test_what_is_wrong_with_all_is_said_once_and_nothing_is_sent(bench: BatchBench, tmp_path: Path) -> None:
    for names, prompt, form, message in WRONG:
        assert message in send(bench, write(tmp_path, *names), prompt, **form)
    assert jobs(bench) == []
    assert bench.service.batches.page() == []


def test_the_rows_follow_the_jobs_and_the_language(bench: BatchBench, tmp_path: Path) -> None:
    async def look() -> list[str]:
        news = bench.tab.follow(bench.values())
        seen = [str((await next_of(news))[bench.tab.list])]

        async def until(words: str) -> None:
            while words not in seen[-1]:
                seen.append(str((await next_of(news))[bench.tab.list]))

        await asyncio.to_thread(send, bench, write(tmp_path, "a.png", "bad.png"))
        await until("0 of 2 done · 1 failed or cancelled")
        bench.executor.run_next()
        await until("1 of 2 done · 1 failed or cancelled")
        await bench.tab.speak(bench.values("zh-CN"))
        await until("已完成 1/2")
        bench.service.delete(str(rows(bench)[0].job))
        await until("已删除")
        return seen

    assert run(look())[0] == ""


def test_each_picture_may_have_its_own_prompt(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a.png", "b.png")
    table, message = arrange(bench, paths)
    assert (table.count("data-row"), message) == (2, "")
    type_in(bench, "its own", "")
    type_in(bench, "of another list")
    type_in(bench, None, None)
    more = [*paths, *write(tmp_path, "c.png")]
    assert 'value="its own"' in arrange(bench, more)[0], "what was written stays"
    assert send(bench, more, "of all") == ""
    assert [job.request["prompt"] for job in jobs(bench)] == ["its own", "of all", "of all"]


def test_prompts_of_their_own_need_none_for_all(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a.png", "b.png")
    arrange(bench, paths)
    type_in(bench, "one", "")
    assert "Describe what should happen first" in send(bench, paths, "")
    type_in(bench, "one", "two")
    assert send(bench, paths, "") == ""


def test_a_file_says_prompts_and_other_fields(bench: BatchBench, tmp_path: Path) -> None:
    paths = write(tmp_path, "a 照.png", "b.png", "c.png")
    file = tmp_path / "list.csv"
    file.write_text(
        "image,prompt,seed\nb.png,two,7\nphotos\\A_照.PNG,one,\nb.png,again,8\ngone.png,x,\n", "utf-8"
    )
    table, message = arrange(bench, paths, file)
    assert re.findall(r'value="([^"]*)"', table) == ["two", "one", "again", ""]
    assert "seed 7" in table
    assert "were not dropped here: gone.png" in message
    bench.store._max_queued = 10
    send(bench, paths, "all")
    made = [(job.request["prompt"], job.request.get("seed")) for job in jobs(bench)]
    assert made == [("two", 7), ("one", None), ("again", 8), ("all", None)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.csv", b"image,promt\na.png,x\n", "promt"),
        ("list.csv", b"image,fps\na.png,0\n", "list.csv, row 1: fps must be"),
        ("list.csv", "image,prompt\na.png,镜头\n".encode("gbk"), "UTF-8"),
        ("list.txt", b"x", "list.txt"),
        ("list.jsonl", b'{"image": "a.png"}\n' * 1001, "1000"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    bench: BatchBench, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    table, message = arrange(bench, write(tmp_path, "a.png"), tmp_path / name)
    assert words in message
    assert table.count("data-row") == 1


def test_the_buttons_lead_to_the_job_and_to_the_queue_cancel_and_retry(
    bench: BatchBench, tmp_path: Path
) -> None:
    tab = bench.tab

    def press(act: str, name: str = "") -> Any:
        return run(tab.act(bench.values(), clicked(act, name)))

    opened = press("open", "0" * 32)
    assert (opened[bench.shared.opened], opened[bench.shared.tabs]) == (Opened(job="0" * 32), gr.skip())
    queue = press("queue")
    assert queue[bench.shared.opened] == Opened()
    assert queue[bench.shared.tabs]["selected"] == "queue"
    send(bench, write(tmp_path, "a.png", "b.png"))
    batch = bench.service.batches.page()[0].id
    assert press("cancel", batch)[tab.message] == ""
    assert bench.store.counts()["cancelled"] == 2
    press("retry", batch)
    assert bench.store.counts()["queued"] == 2
    assert "no longer exists" in press("cancel", "0" * 32)[tab.message]
    assert press("fly")[bench.shared.tabs] == gr.skip()


def test_another_window_sees_the_batch_that_runs_and_nothing_is_kept_in_the_browser(
    bench: BatchBench, tmp_path: Path
) -> None:
    send(bench, write(tmp_path, "first.png"))
    first = bench.service.batches.page()[0].id
    assert bench.executor.run_next()
    send(bench, write(tmp_path, "second.png"))
    send(bench, write(tmp_path, "third.png"))
    bench.service.batches.cancel(bench.service.batches.page()[0].id)
    assert "third.png" in shown(bench), "a window shows what it has made"
    bench.view.batch = ""  # type: ignore[attr-defined]
    assert "second.png" in shown(bench), "another one what runs"
    assert bench.executor.run_next()
    assert "third.png" in shown(bench), "or the newest"
    bench.view.batch = first  # type: ignore[attr-defined]
    bench.service.batches.delete(first)
    assert "third.png" in shown(bench)
    assert bench.shared.remembered not in run(bench.tab.submit(asked(bench, [], "x")))


def test_how_long_a_batch_takes_is_said_before(bench: BatchBench, tmp_path: Path) -> None:
    tab = bench.tab
    values = asked(bench, write(tmp_path, "a.png", "b.png"), "x")
    assert "2 clips. No estimate yet" in run(tab.forecast(values))
    assert run(tab.forecast(values | {tab.pictures: None})) == ""
    assert run(tab.forecast(values | {tab.pictures: write(tmp_path, "bad.png")})) == ""
    assert "2 clips, about 40 s each: about 80 s in all" in batch_panels.forecast(2, 41.0, "en")


def test_a_language_keeps_what_was_written(bench: BatchBench) -> None:
    bench.view.drafts = (Draft(Path("a.png"), "its own"),)  # type: ignore[attr-defined]
    table = run(bench.tab.speak(bench.values("zh-CN")))
    assert "a.png 的提示词" in table
    assert 'value="its own"' in table


# --- in a browser


@pytest.mark.slow
@needs_chromium
def test_of_three_pictures_a_broken_one_is_reported_and_two_become_videos(visit: Visit, house: House) -> None:
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
    expect(page.locator("#i2v-batch-table li")).to_have_count(3)
    content = b"image,prompt\na.png,from the file\n"
    page.set_input_files(
        "#i2v-batch-file input[type=file]", [{"name": "list.csv", "mimeType": "text/csv", "buffer": content}]
    )
    expect(page.get_by_label("Prompt for a.png")).to_have_value("from the file")
    page.fill("#i2v-batch-prompt textarea", "of all")
    page.get_by_label("Prompt for c.png").fill("its own")
    page.wait_for_timeout(500)
    click_twice(page.locator("#i2v-batch-go"))
    expect(page.locator("#i2v-batch li")).to_have_count(3)
    expect(page.locator("#i2v-batch")).to_contain_text("2 of 3 done · 1 failed or cancelled")
    expect(page.locator("#i2v-batch li").nth(1)).to_contain_text("damaged or incomplete")
    expect(page.locator("#i2v-batch-message")).to_have_text("")
    prompts = [job["request"]["prompt"] for job in house.get("/jobs").json()["jobs"]]
    assert prompts == ["its own", "from the file"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.reload()
    expect(page.locator("#i2v-batch")).to_contain_text("2 of 3 done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.suggested_filename.endswith(".zip")
    page.get_by_role("button", name="Show queue").click()
    is_selected(page, "queue")
    page.click("#i2v-tab-batch-button")
    page.locator("#i2v-batch li").nth(2).get_by_role("button", name="Open").click()
    is_selected(page, "generate")
    expect(page.locator("#i2v-prompt textarea")).to_have_value("its own")
