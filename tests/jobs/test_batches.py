"""i2v.jobs.batches: rows wait until they are jobs, in one transaction, and are counted as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.jobs.batches import STATUSES, BatchStore, NewRow
from i2v.jobs.model import Job, JsonObject, Place
from i2v.jobs.store import JobStore
from tests.rehearsal import stage, submit

ERROR = I2VError("image.damaged", reason="half of it").to_dict()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    with closing(JobStore(settings.database)) as opened:
        yield opened


@pytest.fixture
def batches(store: JobStore) -> BatchStore:
    return store.batches


def counted(batches: BatchStore, batch: str) -> dict[str, int]:
    return {status: count for status, count in batches.get(batch).counts.items() if count}


def join(store: JobStore, settings: Settings, place: Place) -> Job:
    return submit(store, settings, place=place)


def test_a_batch_is_empty_at_first_and_the_newest_is_listed_first(batches: BatchStore) -> None:
    first, second, third = (batches.create(name, {"fps": 8}) for name in ("a", "b", "c"))
    assert batches.get(first.id) == first
    assert (first.name, first.fields, first.total, first.progress) == ("a", {"fps": 8}, 0, 0.0)
    assert first.is_finished
    assert tuple(first.counts) == STATUSES
    assert [each.id for each in batches.page(limit=2)] == [third.id, second.id]
    assert [each.id for each in batches.page(second.id)] == [first.id]


def finished(store: JobStore) -> list[JsonObject]:
    """Return the counts that the outbox has of batches that have finished."""
    return [
        cast("JsonObject", each.details["counts"])
        for each in store.outbox.after(0)
        if each.batch_id is not None and each.event == "finished"
    ]


def test_each_time_that_nothing_of_a_batch_is_left_the_outbox_says_so(
    store: JobStore, settings: Settings, batches: BatchStore
) -> None:
    batch = batches.create("a", {}).id
    first, second = (join(store, settings, Place(batch, name)) for name in "ab")
    store.cancel(first.id)
    assert finished(store) == []
    store.cancel(second.id)
    assert finished(store) == [{"cancelled": 2}]
    store.retry(first.id)
    store.cancel(first.id)
    assert finished(store) == [{"cancelled": 2}] * 2
    batches.add(batch, [NewRow("c", {}, "c.upload"), NewRow("d", {}, "d.upload")])
    batches.refuse(batch, 3, ERROR)
    assert len(finished(store)) == 2
    for _ in range(2):
        batches.cancel_waiting(batch)
    assert finished(store)[2:] == [{"cancelled": 3, "failed": 1}]
    batches.add(batch, [NewRow("e", {}, error=ERROR)])
    assert finished(store)[3:] == [{"cancelled": 3, "failed": 2}]
    store.cancel(join(store, settings, Place(batches.create("b", {}).id, "x")).id)
    assert finished(store)[4:] == [{"cancelled": 1}]


def test_a_key_makes_one_batch_and_not_another_ones(batches: BatchStore) -> None:
    made = batches.create("a", {"fps": 8}, "key")
    assert batches.create("a", {"fps": 8}, "key") == made
    assert batches.create("a", {"fps": 8}).id != made.id
    with pytest.raises(InvalidRequest) as caught:
        batches.create("a", {"fps": 9}, "key")
    assert caught.value.code == "job.idempotency_conflict"


def test_a_row_waits_becomes_a_job_and_is_counted_as_that(
    batches: BatchStore, store: JobStore, settings: Settings
) -> None:
    batch = batches.create("", {}).id
    batches.add(batch, [NewRow("a.png", {"seed": 1}, "a"), NewRow("bad.png", {}, error=ERROR)])
    batches.add(batch, [NewRow("c.png", {}, "c")])
    assert counted(batches, batch) == {"waiting": 2, "failed": 1}
    found = batches.first_waiting()
    assert found is not None
    row = found[1]
    assert (row.number, row.name, row.fields, row.picture) == (1, "a.png", {"seed": 1}, "a")
    job = join(store, settings, Place(batch, row.name, row.number))
    assert job.batch == batch
    assert batches.pictures() == {"c"}
    assert counted(batches, batch) == {"waiting": 1, "queued": 1, "failed": 1}
    claim = store.claim("worker")
    assert claim is not None
    store.fail(claim, ERROR)
    rows = batches.rows(batch)
    assert [(each.name, each.status, each.error) for each in rows] == [
        ("a.png", "failed", ERROR),
        ("bad.png", "failed", ERROR),
        ("c.png", "waiting", None),
    ]
    assert batches.get(batch).progress == pytest.approx(2 / 3)
    store.delete(job.id)
    assert counted(batches, batch) == {"waiting": 1, "failed": 1, "deleted": 1}


def test_a_row_becomes_one_job_only(batches: BatchStore, store: JobStore, settings: Settings) -> None:
    batch = batches.create("", {}).id
    batches.add(batch, [NewRow("a.png", {}, "a")])
    join(store, settings, Place(batch, "a.png", 1))
    for place in (Place(batch, "a.png", 1), Place(batch, "b.png", 2), Place("0" * 32, "a.png")):
        with pytest.raises(InvalidRequest) as caught:
            join(store, settings, place)
        assert caught.value.code == "batch.unknown"
    assert len(store.page().jobs) == 1, "nothing of a refused one is left"


def test_jobs_join_behind_the_last_row(batches: BatchStore, store: JobStore, settings: Settings) -> None:
    batch = batches.create("", {}).id
    jobs = [join(store, settings, Place(batch, name)) for name in ("a.png", "b.png")]
    rows = [(row.number, row.name, row.job) for row in batches.rows(batch)]
    assert rows == [(1, "a.png", jobs[0].id), (2, "b.png", jobs[1].id)]


def test_what_is_cancelled_can_wait_again_and_what_is_refused_stays_without_a_picture(
    batches: BatchStore, store: JobStore, settings: Settings
) -> None:
    batch = batches.create("", {}).id
    batches.add(batch, [NewRow("a", {}, "a"), NewRow("b", {}, "b"), NewRow("gone", {}, error=ERROR)])
    batches.refuse(batch, 1, ERROR)
    batches.cancel_waiting(batch)
    assert counted(batches, batch) == {"failed": 2, "cancelled": 1}
    assert batches.first_waiting() is None
    with pytest.raises(InvalidRequest):
        join(store, settings, Place(batch, "b", 2))
    batches.retry_refused(batch)
    assert counted(batches, batch) == {"waiting": 2, "failed": 1}
    batches.refuse(batch, 3, {**ERROR, "code": "other"})
    assert batches.rows(batch)[2].error == ERROR, "only what waits can be refused"


def test_a_deleted_batch_leaves_its_jobs(batches: BatchStore, store: JobStore, settings: Settings) -> None:
    batch = batches.create("", {}).id
    batches.add(batch, [NewRow("a", {}, "a")])
    job = join(store, settings, Place(batch, "b"))
    batches.delete(batch)
    assert store.get(job.id).batch is None
    assert batches.pictures() == set()
    unknown = (
        batches.get, batches.rows, batches.delete, batches.cancel_waiting, batches.retry_refused,
        batches.page,
    )  # fmt: skip
    for call in unknown:
        for name in (batch, "\udcff"):
            with pytest.raises(InvalidRequest) as caught:
                call(name)
            assert caught.value.code == "batch.unknown"


def test_every_change_moves_the_counter_on(batches: BatchStore, store: JobStore) -> None:
    seen = [store.revision()]
    batch = batches.create("", {}).id
    seen.append(store.revision())
    batches.add(batch, [NewRow("a", {}, "a")])
    seen.append(store.revision())
    batches.cancel_waiting(batch)
    seen.append(store.revision())
    assert len(set(seen)) == len(seen)
