"""i2v.service.batches: what was handed over becomes jobs when there is room, also after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.core.errors import EncodeError, I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.jobs.batches import Batch, Row
from i2v.jobs.store import JobStore
from i2v.service import batches as module
from i2v.service.batches import Picture, archive_name
from i2v.service.service import Service
from tests.rehearsal import ENGINES, picture
from tests.service.waiting import FIELDS, Waiting


@pytest.fixture(autouse=True)
def _short_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.02)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def counts(service: Service, batch: Batch) -> dict[str, int]:
    return {status: count for status, count in service.batches.get(batch.id).counts.items() if count}


def uploads(settings: Settings) -> list[Path]:
    return list((settings.service.data_dir / "batches").glob("*"))


def sent(*names: str) -> list[Picture]:
    """Return pictures; those called "bad" are none."""
    return [Picture(name, b"no picture" if name == "bad" else picture(), {}) for name in names]


def test_pictures_become_jobs_in_their_order_with_the_batchs_fields_and_their_own(
    working: Service, settings: Settings
) -> None:
    batch = working.batches.create("all", {"prompt": "a pan", "fps": 5})
    more = Picture("c.png", picture(), {"prompt": "its own", "seed": 7})
    working.batches.add(batch.id, [*sent("a.png", "bad"), more])
    wait_until(lambda: working.batches.get(batch.id).is_finished)
    rows = working.batches.rows(batch.id)
    assert [(row.name, row.status) for row in rows] == [
        ("a.png", "succeeded"), ("bad", "failed"), ("c.png", "succeeded"),
    ]  # fmt: skip
    assert rows[1].error is not None
    assert rows[1].error["code"] == "image.unknown_format"
    asked = [working.get(row.job).request for row in rows if row.job]
    assert [(each["prompt"], each["fps"]) for each in asked] == [("a pan", 5), ("its own", 5)]
    assert [name for name, _ in working.batches.videos(batch.id)] == ["0001_a.mp4", "0003_c.mp4"]
    assert working.batches.get(batch.id).progress == 1
    assert working.batches.seconds_left(working.batches.get(batch.id)) == 0
    refused = [rows[1].picture]  # a job's file goes once it is accepted, and its clip may be faster
    wait_until(lambda: [file.name for file in uploads(settings)] == refused)


def test_a_full_queue_is_waited_for_and_a_restart_goes_on(
    service: Service, settings: Settings, executor: Waiting
) -> None:
    batch = service.batches.create("", FIELDS)
    service.batches.add(batch.id, sent("a", "b", "c", "d", "e"))  # the queue takes three
    wait_until(lambda: counts(service, batch) == {"queued": 3, "waiting": 2})
    assert service.batches.seconds_left(service.batches.get(batch.id)) is None
    service.stop()
    stray = settings.service.data_dir / "batches" / "stray.upload"
    stray.write_bytes(b"of an upload that was cut off")
    store = JobStore(settings.database, max_queued=4)
    again = Service(settings, store, executor, ENGINES)
    again.start()
    try:
        wait_until(lambda: counts(again, batch) == {"queued": 4, "waiting": 1})
        first = again.batches.rows(batch.id)[0].job
        assert first is not None
        again.cancel(first)
        wait_until(lambda: counts(again, batch) == {"queued": 4, "cancelled": 1})
        assert uploads(settings) == []
    finally:
        again.stop()


def test_all_of_it_is_cancelled_retried_and_deleted(service: Service, settings: Settings) -> None:
    other = service.submit(FIELDS, picture())
    batch = service.batches.create("", FIELDS)
    service.batches.add(batch.id, sent("a", "b", "c", "d"))
    wait_until(lambda: counts(service, batch) == {"queued": 2, "waiting": 2})
    with pytest.raises(InvalidRequest) as caught:
        service.batches.delete(batch.id, clips=True)
    assert caught.value.code == "batch.not_finished"
    assert service.batches.cancel(batch.id).is_finished
    assert counts(service, batch) == {"cancelled": 4}
    assert service.get(other.id).status == "queued"
    service.cancel(other.id)
    service.batches.retry(batch.id)
    wait_until(lambda: counts(service, batch) == {"queued": 3, "waiting": 1})
    service.batches.cancel(batch.id)
    service.batches.delete(batch.id, clips=True)
    assert [job.id for job in service.page().jobs] == [other.id]
    assert uploads(settings) == []
    with pytest.raises(InvalidRequest):
        service.batches.get(batch.id)


def test_a_batch_goes_without_its_jobs(working: Service) -> None:
    batch = working.batches.create("", FIELDS)
    job = working.batches.submit(batch.id, "a.png", {}, picture())
    assert job.batch == batch.id
    working.batches.delete(batch.id)
    assert working.get(job.id).batch is None
    assert working.video(job.id).exists()


def test_a_key_makes_one_row_whatever_is_lost_on_the_way(service: Service) -> None:
    batch = service.batches.create("", FIELDS)
    jobs = {service.batches.submit(batch.id, "a.png", {}, picture(), "key").id for _ in range(3)}
    assert len(jobs) == len(service.batches.rows(batch.id)) == 1


def test_a_job_that_was_asked_for_before_joins_the_batch_that_asks_now(service: Service) -> None:
    first, second = (service.batches.create("", FIELDS) for _ in range(2))
    job = service.batches.submit(first.id, "a.png", {}, picture(), "key")
    again = service.batches.submit(second.id, "a.png", {}, picture(), "key")
    assert (again.id, again.batch) == (job.id, second.id)
    assert [row.job for row in service.batches.rows(second.id)] == [job.id]


def test_a_row_is_not_blamed_for_a_problem_of_the_service(
    working: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [I2VError("data.no_space", path="/data", free_mib=1, needed_mib=16)]
    monkeypatch.setattr(working, "problem", lambda: problems[0] if problems else None)
    batch = working.batches.create("", FIELDS)
    working.batches.add(batch.id, sent("a.png"))
    time.sleep(0.1)
    assert counts(working, batch) == {"waiting": 1}
    problems.clear()
    wait_until(lambda: counts(working, batch) == {"succeeded": 1})


def test_a_clip_in_the_trash_is_no_clip_of_its_batch_until_it_is_restored(working: Service) -> None:
    batch = working.batches.create("", FIELDS)
    job = working.batches.submit(batch.id, "a.png", {}, picture())
    wait_until(lambda: counts(working, batch) == {"succeeded": 1})
    working.library.trash(job.id)
    assert counts(working, batch) == {"deleted": 1}
    with pytest.raises(InvalidRequest) as caught:
        working.batches.videos(batch.id)
    assert caught.value.code == "batch.no_videos"
    working.library.restore(job.id)
    assert counts(working, batch) == {"succeeded": 1}


def test_what_is_wrong_with_the_batch_itself_is_said_at_once(service: Service) -> None:
    refused: list[tuple[str, dict[str, object]]] = [
        ("", {"speeed": 1}), ("", {"fps": 0}), ("", {"inputs": [{"role": "last_image"}]}),
        ("x" * 201, {}), ("\udcff", {}),
    ]  # fmt: skip
    for name, fields in refused:
        with pytest.raises(InvalidRequest):
            service.batches.create(name, fields)
    assert service.batches.page() == []
    for call in (service.batches.videos, service.batches.cancel, service.batches.retry):
        with pytest.raises(InvalidRequest) as caught:
            call("0" * 32)
        assert caught.value.code == "batch.unknown"
    with pytest.raises(InvalidRequest) as caught:
        service.batches.videos(service.batches.create().id)
    assert caught.value.code == "batch.no_videos"


def test_if_one_picture_cannot_be_kept_none_is(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = service.batches.create("", FIELDS)
    fsync, calls = module.os.fsync, []

    def fail_later(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(module.os, "fsync", fail_later)
    with pytest.raises(EncodeError):
        service.batches.add(batch.id, sent("a", "b"))
    assert service.batches.rows(batch.id) == []
    assert uploads(settings) == []


def test_names_in_an_archive_are_files_on_any_system() -> None:
    def named(name: str) -> str:
        return archive_name(Row(7, name, {}, None, None, "succeeded", 1, None))

    assert named("cat 照片.png") == "0007_cat 照片.mp4"
    assert named("../../etc/passwd") == "0007_passwd.mp4"
    assert named('a:b*?"<>|\n.png') == "0007_a_b_______.mp4"
    assert named("") == named("...") == "0007.mp4"
