"""The markup of a batch: a line for each picture, how far all are, and no name as markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import Language
from i2v.jobs.batches import STATUSES, Batch, Row
from i2v.web.page import batch_panels
from i2v.web.page.batch_panels import Draft, drafts, no_pictures
from tests.web.page.test_panels import DONE, HOSTILE, JOB

REFUSED = InvalidRequest("image.empty").to_dict()
CANCELLED = I2VError("job.cancelled").to_dict()
FINISHED = replace(DONE, id="1" * 32, progress=1.0, finished_at=3.0)
FAILED = replace(FINISHED, id="2" * 32, status="failed", result=None, error=REFUSED)
JOBS = {job.id: job for job in (JOB, FINISHED, FAILED)}
ROW = Row(1, "a.png", {}, None, None, "waiting", 0.0, None)


def of(**counts: int) -> Batch:
    return Batch("b" * 32, "", {}, 1.0, {status: counts.get(status, 0) for status in STATUSES}, 0.5)


def batch(row: Row, language: Language = "en", counts: Mapping[str, int] | None = None) -> str:
    return batch_panels.batch(of(**(counts or {"running": 1})), [row], JOBS, 130.0, language)


@pytest.mark.parametrize(
    ("row", "english", "chinese"),
    [
        (ROW, "not in the queue yet", "尚未进入队列"),
        (replace(ROW, error=REFUSED), "The picture file is empty", "图片文件为空"),
        (replace(ROW, error=CANCELLED), "The job was cancelled", "取消"),
        (replace(ROW, job=JOB.id), "Denoising · step 3 of 10", "正在去噪"),
        (replace(ROW, job=FINISHED.id), "Done.", "完成。"),
        (replace(ROW, job=FAILED.id), "Failed. The picture file is empty", "生成失败。"),
        (replace(ROW, job="3" * 32), "deleted", "已删除"),
    ],
)
def test_a_picture_is_followed_by_what_became_of_it(row: Row, english: str, chinese: str) -> None:
    languages: tuple[tuple[Language, str], ...] = (("en", english), ("zh-CN", chinese))
    for language, words in languages:
        markup = batch(row, language)
        assert ">a.png</span><span" in markup
        assert words in markup
        assert ('data-act="open"' in markup) == (row.job in JOBS)
        assert 'data-act="queue"' in markup


def test_no_name_becomes_markup_and_none_is_endless() -> None:
    for name in (HOSTILE, "x" * 500 + ".png"):
        draft = Draft(Path(name.replace("/", "")), HOSTILE, {"negative_prompt": HOSTILE})
        for markup in (batch(replace(ROW, name=name)), drafts([draft], "en"), no_pictures([name], "en")):
            assert "<img src=x" not in markup
            assert "x" * 90 not in markup


def test_the_summary_counts_what_is_done_and_what_will_never_be_and_how_long_it_takes() -> None:
    counts = {"succeeded": 1, "failed": 1, "cancelled": 1, "running": 1}
    markup = batch(ROW, counts=counts)
    assert "1 of 4 done · 2 failed or cancelled · about 2 min left" in markup
    assert re.search(r'aria-valuenow="50"', markup)
    assert "left" not in batch(ROW, counts={"succeeded": 1})


@pytest.mark.parametrize(
    ("counts", "acts"),
    [
        ({"waiting": 1}, ["cancel", "queue"]),
        ({"running": 1, "failed": 1}, ["retry", "cancel", "queue"]),
        ({"cancelled": 1}, ["retry", "queue"]),
        ({"succeeded": 1}, ["queue"]),
    ],
)
def test_only_buttons_that_do_something_are_there(counts: dict[str, int], acts: list[str]) -> None:
    markup = batch(ROW, counts=counts)
    assert re.findall(r'data-act="(\w+)"', markup) == acts
    assert (f"api/v1/batches/{'b' * 32}/zip" in markup) == ("succeeded" in counts)


def test_every_draft_has_a_box_with_a_name_of_its_own() -> None:
    markup = drafts([Draft(Path("a.png"), 'say "hi"'), Draft(Path("b.png"), "", {"seed": 7})], "en")
    assert 'data-row="0" value="say &quot;hi&quot;"' in markup
    assert 'aria-label="Prompt for b.png"' in markup
    assert "seed 7" in markup
    assert drafts([], "en") == ""
