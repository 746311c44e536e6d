"""The outbox: each transition is one row, none where it was undone; rows come in order, and go in time."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest, Notice
from i2v.core.results import StageUse
from i2v.jobs.database import Database
from i2v.jobs.migrations import MIGRATIONS
from i2v.jobs.model import JobLost
from i2v.jobs.outbox import DAY, Transition, move_position, prune, read_after, read_position
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, result_of, submission

NOW = 1_700_000_000.0


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[JobStore]:
    store = JobStore(path, clock=lambda: NOW)
    yield store
    store.close()


@pytest.fixture
def database(store: JobStore, path: Path) -> Iterator[Database]:
    database = Database(path, MIGRATIONS, create=False)
    yield database
    database.close()


def events(store: JobStore) -> list[str]:
    return [transition.event for transition in store.outbox.after(0)]


def test_a_job_s_way_stands_in_it_from_its_submission_to_its_deletion(store: JobStore) -> None:
    job = store.submit(submission())
    first = store.claim("owner")
    assert first is not None
    store.release(first)
    second = store.claim("owner")
    assert second is not None
    store.fail(second, {"code": "job.internal", "message": "why"})
    store.retry(job.id)
    third = store.claim("owner")
    assert third is not None
    stages = (StageUse("denoise", 1.0, 70), StageUse("decode", 1.0, 90), StageUse("encode", 1.0))
    notices = (Notice("upscale.none", {}, "said"),)
    store.finish(third, replace(result_of(job.id), stages=stages, notices=notices))
    store.delete(job.id)
    found = store.outbox.after(0)
    assert [(each.event, each.attempt) for each in found] == [
        ("submitted", 0), ("started", 1), ("requeued", 1), ("started", 2), ("failed", 2), ("requeued", 2),
        ("started", 3), ("succeeded", 3), ("deleted", 3),
    ]  # fmt: skip
    assert {each.job_id for each in found} == {job.id}
    assert {each.engine for each in found} == {"tiny"}
    assert {each.at for each in found} == {NOW}
    details = {each.event + str(each.attempt): each.details for each in found}
    assert details["requeued1"] == {"reason": "released"}
    assert details["requeued2"] == {"reason": "retried"}
    assert details["failed2"]["error"] == {"code": "job.internal", "message": "why"}
    assert details["succeeded3"] == {
        "notices": ["upscale.none"],
        "duration": 0.0,
        "seconds": {"denoise": 1.5},
        "peak_bytes": 90,
    }


def test_what_does_not_happen_has_no_row(store: JobStore) -> None:
    job = store.submit(submission(key="once"))
    store.submit(replace(submission(key="once"), id="other"))  # the same job
    claim = store.claim("owner")
    assert claim is not None
    store.heartbeat(claim)
    store.cancel(job.id)  # asked for, and not there yet
    before = events(store)
    with pytest.raises(InvalidRequest):
        store.delete(job.id)
    with pytest.raises(JobLost):
        store.finish(replace(claim, owner="another"), result_of(job.id))
    assert events(store) == before == ["submitted", "started"]
    store.confirm_cancel(claim)
    assert events(store)[2:] == ["cancelled"]


def test_a_transition_that_fails_half_way_leaves_neither_half(
    store: JobStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.submit(submission())
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'disk is full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        store.cancel(job.id)
    assert store.get(job.id).status == "queued"
    assert events(store) == ["submitted"]
    raw.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_whoever_reads_all_of_it_knows_every_job_s_state(store: JobStore, seed: int) -> None:
    """Random operations; the states that the outbox tells are those of the job table."""
    draw = random.Random(seed)
    reported: dict[str, str] = {}
    states = {"submitted": "queued", "requeued": "queued", "started": "running"}
    read = 0
    for _ in range(150):
        jobs = store.page(limit=200).jobs
        job = draw.choice(jobs) if jobs else None
        try:
            match draw.randrange(8):
                case 0 | 1:
                    store.submit(submission())
                case 2 if claim := store.claim("owner"):
                    draw.choice([
                        lambda: store.finish(claim, result_of(claim.job.id)),
                        lambda: store.fail(claim, {"code": "x", "message": "x"}),
                        lambda: store.release(claim),
                        lambda: None,
                    ])()  # fmt: skip
                case 3 if job:
                    store.cancel(job.id)
                case 4 if job:
                    store.retry(job.id)
                case 5 if job:
                    store.delete(job.id)
                case 6:
                    store.recover("owner")
                case 7:
                    store.recover_interrupted()
        except InvalidRequest:
            continue
        for each in store.outbox.after(read):
            assert each.number > read
            read = each.number
            reported[each.job_id] = states.get(each.event, each.event)
        left = {job_id: state for job_id, state in reported.items() if state != "deleted"}
        assert left == {job.id: job.status for job in store.page(limit=200).jobs}


def test_a_reader_goes_on_where_it_was_and_numbers_are_not_used_again(
    store: JobStore, database: Database
) -> None:
    assert store.outbox.last() == 0
    for _ in range(3):
        store.submit(submission())
    with database.write() as db:
        (first, second) = read_after(db, read_position(db, "reader"), limit=2)
        move_position(db, "reader", second.number)
    with database.read() as db:
        assert [each.number for each in read_after(db, read_position(db, "reader"), 10)] == [3]
    assert first.number == 1
    with database.write() as db:
        db.execute("DELETE FROM outbox")
    assert store.outbox.last() == 3
    store.submit(submission())
    assert [each.number for each in store.outbox.after(0)] == [4]


def numbers(found: list[Transition]) -> list[int]:
    return [each.number for each in found]


def test_rows_go_when_all_have_read_them_or_nobody_has_for_long(store: JobStore, database: Database) -> None:
    for _ in range(4):
        store.submit(submission())

    def prune_after(days: float) -> list[int]:
        with database.write() as db:
            prune(db, NOW + days * DAY + 1)
        return numbers(store.outbox.after(0))

    assert prune_after(1) == [1, 2, 3, 4]  # nobody has read them
    with database.write() as db:
        move_position(db, "quick", 3)
        move_position(db, "slow", 2)
    assert prune_after(0) == [1, 2, 3, 4]  # they are new
    assert prune_after(1) == [3, 4]
    assert prune_after(7) == []
