"""The markup of all jobs: what stands there in each state, and nothing of a job as markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from i2v.core.errors import InsufficientMemory
from i2v.core.schema import Language
from i2v.jobs.model import Job, JobPage
from i2v.service.service import Unfinished
from i2v.web.page import queue_panels
from i2v.web.page.queue_panels import SHOWN
from tests.web.page.test_panels import DONE, HOSTILE, JOB

QUEUED = replace(JOB, status="queued", phase="queued", queue_position=1, eta_seconds=None)
RUNNING = Unfinished(JOB, None)
NOW = 10_000.0


def acts(markup: str) -> list[str]:
    return re.findall(r'data-act="(\w+)"', markup)


def finished(
    *jobs: Job,
    cursor: str | None = None,
    language: Language = "en",
    first: bool = True,
    unsuccessful: int = 0,
) -> str:
    return queue_panels.finished(JobPage(jobs, cursor), language, first, NOW, unsuccessful)


def test_a_running_job_has_its_step_progress_and_picture() -> None:
    markup = queue_panels.running([RUNNING, Unfinished(QUEUED, None)], "en")
    assert "1 running, 1 waiting" in markup
    assert "Denoising · step 3 of 10 · about 10 s left" in markup
    assert 'aria-valuenow="50"' in markup
    assert f"api/v1/jobs/{JOB.id}/thumbnail" in markup
    assert acts(markup) == ["pause", "cancel_all", "open", "cancel"]
    assert "Cancel 2 jobs?" in markup
    seen = queue_panels.running([Unfinished(replace(JOB, preview_revision=7), None)], "en")
    assert f"api/v1/jobs/{JOB.id}/preview?revision=7" in seen
    assert "thumbnail" not in seen


def test_an_engine_is_called_by_its_title() -> None:
    titles = {"embedded": "Demo model"}
    for language, title in (("en", "Demo model"), ("zh-CN", "演示模型")):
        assert f"· {title}</p>" in queue_panels.running([RUNNING], language, titles=titles)
    assert "· embedded</p>" in queue_panels.running([RUNNING], "en"), "an engine that is no longer there"


def test_a_job_that_is_asked_to_stop_cannot_be_asked_again() -> None:
    markup = queue_panels.running([Unfinished(replace(JOB, cancel_requested=True), None)], "en")
    assert "Cancelling" in markup
    assert acts(markup) == ["pause", "open"]


def test_a_running_job_says_how_long_it_has_run() -> None:
    running = [Unfinished(replace(JOB, started_at=NOW - 130), None)]
    assert "about 10 s left · 2 min so far" in queue_panels.running(running, "en", NOW)
    assert "已用 2 分钟" in queue_panels.running(running, "zh-CN", NOW)


def test_a_paused_queue_says_so_and_can_go_on() -> None:
    for unfinished in ([], [RUNNING]):
        markup = queue_panels.running(unfinished, "en", NOW, paused=True)
        assert "The queue is paused" in markup
        assert acts(markup)[0] == "resume"
        assert acts(queue_panels.running(unfinished, "en", NOW))[0] == "pause"


def test_a_waiting_job_can_be_moved_where_there_is_room() -> None:
    markup = queue_panels.waiting([RUNNING, *[Unfinished(QUEUED, None)] * 3], "en")
    rows = [acts(row) for row in markup.split("<li ")[1:]]
    assert rows == [
        ["down", "open", "cancel"],
        ["first", "up", "down", "open", "cancel"],
        ["first", "up", "open", "cancel"],
    ]
    assert 'aria-label="Move up: ' in markup


def test_with_a_trash_only_a_star_makes_deleting_ask() -> None:
    def asks(starred: bool) -> list[str]:
        jobs = JobPage((replace(DONE, finished_at=NOW, starred=starred),), None)
        return re.findall('data-confirm="([^"]*)"', queue_panels.finished(jobs, "en", True, NOW, 2, True))

    assert asks(False) == ["Delete 2 jobs?"]
    assert asks(True) == ["Delete 2 jobs?", "It has a star. Delete it?"]


def test_a_job_that_waits_has_its_place_and_when_it_should_start() -> None:
    markup = queue_panels.waiting([RUNNING, Unfinished(QUEUED, 130.0)], "en")
    assert "Waiting: 1 ahead · starts in about 2 min" in markup
    assert acts(markup) == ["open", "cancel"]
    assert "约 2 分钟后开始" in queue_panels.waiting([Unfinished(QUEUED, 130.0)], "zh-CN")
    assert "starts" not in queue_panels.waiting([Unfinished(QUEUED, None)], "en")
    assert queue_panels.waiting([RUNNING], "en") == ""


def test_of_very_many_that_wait_the_last_ones_are_counted() -> None:
    markup = queue_panels.waiting([Unfinished(QUEUED, None)] * (SHOWN + 5), "en")
    assert markup.count('class="i2v-job ') == SHOWN
    assert "and 5 more" in markup


def test_what_has_failed_says_why_and_what_to_do_and_can_be_tried_again() -> None:
    error = InsufficientMemory("device.no_cuda").to_dict()
    failed = replace(JOB, status="failed", error=error, started_at=NOW - 100, finished_at=NOW - 40)
    markup = finished(failed)
    assert "Failed" in markup
    assert str(error["message"]).split("(")[0] in markup
    assert "40 s ago · took 60 s" in markup
    assert acts(markup) == ["open", "retry", "delete"]
    cancelled = finished(replace(JOB, status="cancelled", started_at=None, finished_at=NOW - 40))
    assert "Cancelled" in cancelled
    assert "took" not in cancelled
    assert acts(cancelled) == ["open", "retry", "delete"]
    assert acts(finished(replace(DONE, finished_at=NOW))) == ["open", "delete"]


def test_deleting_asks_first_and_says_what_is_meant() -> None:
    done = replace(DONE, finished_at=NOW)
    for language, label, question in (
        ("en", "Delete", "Delete permanently?"),
        ("zh-CN", "删除", "确定永久删除？"),
    ):
        [button] = re.findall(r'<button [^>]*data-act="delete"[^>]*>', finished(done, language=language))  # type: ignore[arg-type]
        assert f'data-confirm="{question}"' in button
        assert f'aria-label="{label}: ' in button
        assert f'data-id="{done.id}"' in button
    assert "data-confirm" not in queue_panels.running([RUNNING], "en")


def test_all_that_came_to_nothing_can_be_deleted_where_there_is_some() -> None:
    done = replace(DONE, finished_at=NOW)
    assert acts(finished(done)) == ["open", "delete"]
    markup = finished(done, unsuccessful=12)
    assert acts(markup) == ["clear", "open", "delete"]
    assert 'data-confirm="Permanently delete 12 jobs?"' in markup
    assert 'data-confirm="确定永久删除 12 个任务？"' in finished(done, unsuccessful=12, language="zh-CN")


def test_pages_can_be_turned_where_there_are_some() -> None:
    done = replace(DONE, finished_at=NOW)
    assert acts(finished(done, cursor="41")) == ["open", "delete", "older"]
    assert 'data-act="older" data-id="41"' in finished(done, cursor="41")
    assert acts(finished(done, cursor="41", first=False)) == ["open", "delete", "newer", "older"]
    assert acts(finished(done, first=False)) == ["open", "delete", "newer"]


def test_where_there_is_nothing_it_says_so() -> None:
    assert "No jobs are running or waiting" in queue_panels.running([], "en")
    assert "没有正在运行" in queue_panels.running([], "zh-CN")
    assert "No finished jobs yet" in finished()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_of_a_job_is_markup(language: Language) -> None:
    error = {"code": "gone", "params": {}, "message": HOSTILE}
    failed = replace(JOB, status="failed", error=error, finished_at=NOW)
    for markup in (
        queue_panels.running([RUNNING], language),
        queue_panels.waiting([Unfinished(QUEUED, 1.0)], language),
        finished(failed, language=language),
    ):
        assert "<img src=x" not in markup
        assert '"alert(1)"' not in markup
        assert "&lt;img src=x" in markup
