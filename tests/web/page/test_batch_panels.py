"""The markup of a batch: a line for each picture, how far all are, and no name as markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.page.batch_panels import Entry, batch, left
from tests.web.page.test_panels import DONE, HOSTILE, JOB

REFUSED = InvalidRequest("image.empty").to_dict()
FINISHED = replace(DONE, id="1" * 32, progress=1.0, finished_at=3.0)
FAILED = replace(FINISHED, id="2" * 32, status="failed", result=None, error=REFUSED)


def percent(markup: str) -> int:
    match = re.search(r'aria-valuenow="(\d+)"', markup)
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize(
    ("entry", "english", "chinese"),
    [
        (Entry("a.png"), "not uploaded yet", "尚未上传"),
        (Entry("a.png", error=REFUSED), "The picture file is empty", "图片文件为空"),
        (Entry("a.png", left=True), "not submitted", "未提交"),
        (Entry("a.png", JOB.id), "Denoising · step 3 of 10", "正在去噪"),
        (Entry("a.png", FINISHED.id), "Done.", "完成。"),
        (Entry("a.png", FAILED.id), "Failed. The picture file is empty", "生成失败。"),
        (Entry("a.png", "3" * 32), "deleted", "已删除"),
    ],
)
def test_a_picture_is_followed_by_what_became_of_it(entry: Entry, english: str, chinese: str) -> None:
    jobs = {job.id: job for job in (JOB, FINISHED, FAILED)}
    for language, words in (("en", english), ("zh-CN", chinese)):
        markup = batch([entry], jobs, language)  # type: ignore[arg-type]
        assert ">a.png</span><span" in markup
        assert words in markup
        assert ('data-act="open"' in markup) == (entry.job in jobs)
        assert 'data-act="queue"' in markup


def test_no_name_becomes_markup_and_none_is_endless() -> None:
    entries = [Entry(HOSTILE), Entry("x" * 500 + ".png", left=True)]
    for markup in (batch(entries, {}, "en"), left([replace(entries[0], left=True), entries[1]], "en")):
        assert HOSTILE not in markup
        assert "&lt;img src=x" in markup
        assert "x" * 90 not in markup


def test_the_summary_counts_what_is_done_and_what_will_never_be() -> None:
    entries = [Entry("a", JOB.id), Entry("b", FINISHED.id), Entry("c", FAILED.id), Entry("d", error=REFUSED)]
    markup = batch(entries, {job.id: job for job in (JOB, FINISHED, FAILED)}, "en")
    assert "1 of 4 done · 2 failed or cancelled" in markup
    assert percent(markup) == 88  # half a job is left
    assert "without" not in batch(entries[:2], {JOB.id: JOB, FINISHED.id: FINISHED}, "en")


def test_before_anything_is_sent_nothing_is_done() -> None:
    assert percent(batch([Entry("a"), Entry("b")], {}, "en")) == 0
    assert batch([], {}, "en") == ""


def test_what_was_left_out_is_named() -> None:
    assert "Not submitted: b.png, c.png" in left(
        [Entry("a.png", "0" * 32), Entry("b.png", left=True), Entry("c.png", left=True)], "en"
    )
