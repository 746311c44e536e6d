"""The output side's markup: what stands there in each state of a job, and nothing of a job as markup."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.results import Result, StageUse
from i2v.core.schema import Language
from i2v.core.settings import StorageSettings
from i2v.jobs.model import Job, Phase
from i2v.service.job_files import VideoProblem
from i2v.web.page import panels
from tests.contrary import CONTRARY

HOSTILE = '<img src=x onerror="alert(1)">'
RAN = Generation(HOSTILE, "", 96, 64, 96, 64, "keep", 8, 8, 8, 10, 9.0, seed=4, engine="embedded")
JOB = Job(
    id="0" * 32, revision=1, status="running", request={"prompt": HOSTILE}, notices=(), input="a.png",
    other_inputs=(), generation=RAN, plan=None,
    output=f"/videos/{HOSTILE}.mp4", phase="denoising", progress=0.5, step=3, total=10, eta_seconds=11.6,
    preview_revision=None, queue_position=None, owner="w", attempt=1, deaths=0, interruptions=0,
    cancel_requested=False, result=None, error=None, history=(), created_at=1.0, started_at=2.0,
    finished_at=None,
)  # fmt: skip
RESULT = Result(Path(JOB.output), RAN, seconds={"denoise": 1.25, "encode": 0.5})
DONE = replace(JOB, status="succeeded", result=RESULT)
NOTICE = Notice("gone", {}, HOSTILE)


def test_a_running_job_tells_phase_step_and_time_left() -> None:
    assert "Denoising · step 3 of 10 · about 10 s left" in panels.status(JOB, "en")
    begun = replace(JOB, started_at=time.time() - 30)
    assert "about 10 s left · 30 s so far" in panels.status(begun, "en")
    assert "正在去噪 · 第 3/10 步 · 约剩 10 秒" in panels.status(JOB, "zh-CN")
    assert 'aria-valuenow="50"' in panels.status(JOB, "en")


@pytest.mark.parametrize(("phase", "words"), [
    ("loading", "Loading the model"), ("decoding", "Decoding frames · frame 3 of 10"),
    ("encoding", "Saving the video"),
])  # fmt: skip
def test_every_phase_has_its_words(phase: Phase, words: str) -> None:
    assert words in panels.status(replace(JOB, phase=phase), "en")


@pytest.mark.parametrize(("position", "words"), [(0, "Next in the queue"), (2, "Waiting: 2 ahead")])
def test_a_queued_job_tells_its_place(position: int, words: str) -> None:
    queued = replace(JOB, status="queued", phase="queued", queue_position=position)
    assert words in panels.status(queued, "en")


def test_a_job_that_is_asked_to_stop_says_so_and_nothing_else() -> None:
    message = panels.status(replace(JOB, cancel_requested=True), "en")
    assert "Cancelling…" in message
    assert "step" not in message


def test_the_preview_has_an_address_for_each_revision_and_the_clips_shape() -> None:
    shown = panels.preview(replace(JOB, preview_revision=7), "en")
    assert f"api/v1/jobs/{JOB.id}/preview?revision=7" in shown
    assert "aspect-ratio: 96 / 64" in shown
    before = panels.preview(JOB, "en")  # the picture, from the first second
    assert f"api/v1/jobs/{JOB.id}/thumbnail" in before
    assert "aspect-ratio: 96 / 64" in before


def test_a_finished_job_offers_the_file_under_its_own_name_and_says_what_was_run() -> None:
    assert 'download="a.mp4"' in panels.ending(replace(DONE, output="/videos/a.mp4"), "en")
    facts = panels.result(DONE, "en")
    assert "<dd>8 frames at 8 fps</dd>" in facts
    assert "<dd>1.8 s</dd>" in facts
    assert "Negative prompt" not in facts


def test_a_finished_job_says_what_its_hungriest_stage_took_beside_the_estimate() -> None:
    stages = (
        StageUse("condition", 0.1, 2**30, 3 * 2**30),
        StageUse("denoise", 1.0, 5 * 2**29, 2 * 2**30),
        StageUse("decode", 1.0, None, None),
    )
    message = panels.result(replace(DONE, result=replace(RESULT, stages=stages)), "en")
    assert "2.5 GB (estimate: 2.0 GB)" in message
    assert "Memory" not in panels.result(DONE, "en"), "an older job was not measured"


def test_a_clip_that_was_made_fast_says_how_often_the_network_was_asked() -> None:
    fast = replace(DONE, generation=replace(RAN, speed="fast", num_inference_steps=25))
    assert "25 (fast: the network ran 11 times)" in panels.result(fast, "en")
    assert "run fast" not in panels.result(DONE, "en")


def test_what_an_engine_has_no_use_for_is_not_said_and_its_options_are() -> None:
    options = {"shift": 0.25, "mirror": True, "path": "arc", "gone": [1]}
    ran = replace(RAN, engine="contrary", num_inference_steps=0, options=options)
    done = replace(DONE, generation=ran, result=replace(RESULT, generation=ran))
    facts = panels.result(done, "en", CONTRARY)
    assert "Shift: 0.25 · Mirror: Yes · Path: arc · gone: [1]" in facts
    assert "The contrary one" in facts
    for name in ("Seed", "Guidance", "Steps"):
        assert f"<dt>{name}</dt>" not in facts
        assert f"<dt>{name}</dt>" in panels.result(DONE, "en")


def test_a_failed_job_says_why_and_what_to_do() -> None:
    error = {"code": "encode.broken", "params": {"path": "/a", "reason": "x"}, "message": "-"}
    message = panels.ending(replace(JOB, status="failed", error=error), "en")
    assert 'role="alert"' in message
    assert "Generate it again." in message


def test_no_text_of_a_job_becomes_markup() -> None:
    failed = replace(JOB, status="failed", error=NOTICE.to_dict(), notices=(NOTICE,))
    made = replace(DONE, result=replace(RESULT, notices=(NOTICE,)))
    for panel in (
        panels.status(failed, "en"), panels.ending(failed, "en"), panels.ending(made, "en"),
        panels.result(made, "en"), panels.plain(HOSTILE), panels.notices([NOTICE], "zh-CN"),
    ):  # fmt: skip
        assert "onerror" in panel
        assert "<img" not in panel


@pytest.mark.parametrize(("problem", "words"), [("missing", "missing"), ("broken", "damaged")])
def test_a_video_that_cannot_be_played_is_reported_with_its_place_and_not_offered(
    problem: VideoProblem, words: str
) -> None:
    done = replace(DONE, output="/videos/<b>.mp4")
    player, ending = panels.video(done, "en", problem), panels.ending(done, "en", problem)
    assert "<video" not in player
    assert f"api/v1/jobs/{DONE.id}/thumbnail" in player
    assert words in player
    assert "/videos/&lt;b&gt;.mp4" in ending
    assert words in ending
    assert "href" not in ending
    assert "<video" in panels.video(done, "en")
    assert "/videos/&lt;b&gt;.mp4" in panels.ending(done, "zh-CN", problem)


def test_what_is_deleted_by_itself_is_reported_where_something_is() -> None:
    def message(days: float, gigabytes: float, language: Language = "en") -> str:
        storage = StorageSettings(keep_days=days, keep_gigabytes=gigabytes, keep_jobs=0, trash_days=0)
        return panels.retention(storage, language)

    assert message(0, 0) == ""
    assert (
        message(30, 0)
        == "Jobs are deleted 30 days after they finish, together with their videos and pictures."
        " Starred clips stay."
    )
    assert "more than 2.5 GB" in message(0, 2.5)
    days, size = message(30, 0).removesuffix(" Starred clips stay."), message(0, 2.5)
    assert message(30, 2.5) == f"{days} {size}"
    assert message(30, 2.5, "zh-CN").count("。") == 3
    storage = StorageSettings(keep_days=0, keep_gigabytes=0, keep_jobs=50, trash_days=3)
    assert "more than 50 finished jobs" in panels.retention(storage, "en")
    assert panels.retention(storage, "en").endswith("stays in the trash for 3 days.")


def test_a_star_is_a_button_that_says_what_it_does() -> None:
    for job, sign, label in ((DONE, "☆", "Add star"), (replace(DONE, starred=True), "★", "Remove star")):
        markup = panels.star(job, "en")
        assert sign in markup
        assert f'title="{label}"' in markup
        assert "<img" not in markup
    assert 'data-act="star"' in panels.ending(DONE, "en")


def test_what_was_deleted_can_be_undone_by_a_button() -> None:
    assert "Moved to the trash for 3 days." in panels.trashed(1, 3.0, "en")
    assert "5 jobs were moved to the trash for 0.5 days." in panels.trashed(5, 0.5, "en")
    assert 'data-act="undo"' in panels.trashed(5, 3.0, "zh-CN")


def test_a_job_whose_details_cannot_be_read_is_shown_without_them() -> None:
    notice = Notice("job.unreadable", {"reason": "generation: width: <b>"})
    job = replace(JOB, generation=None, request={}, notices=(notice,))
    done = replace(job, status="succeeded", finished_at=3.0)
    assert "(generation: width: &lt;b&gt;)" in panels.status(job, "en")
    assert "generation: width" in panels.result(done, "en")
    assert "aspect-ratio" not in panels.preview(job, "en") + panels.video(done, "en")
    assert panels.title(job, "zh-CN") == "无法读取详情的任务"
