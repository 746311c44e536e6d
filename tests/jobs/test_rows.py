"""Rows that another version wrote, or a disk has damaged, hide neither themselves nor the others."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.memory_plan import MemoryPlan, PlannedMemory
from i2v.jobs.forecast import Forecast
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.memory.model import denoising_work
from tests.job_crew import generation, ram_folder, result_of, submission


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[JobStore]:
    store = JobStore(path)
    yield store
    store.close()


@pytest.fixture
def raw(store: JobStore, path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def succeeded(store: JobStore) -> Job:
    job = store.submit(submission())
    held = store.claim("owner")
    assert held is not None
    return store.finish(held, result_of(job.id))


def change(raw: sqlite3.Connection, job: Job, column: str, **fields: object) -> None:
    """Have fields more, or others, in a column of JSON."""
    for name, value in fields.items():
        raw.execute(
            f"UPDATE jobs SET {column} = json_set({column}, '$.{name}', json(?)) WHERE id = ?",
            [json.dumps(value), job.id],
        )


def test_the_plan_of_its_submission_is_kept_with_a_job(store: JobStore) -> None:
    plan = PlannedMemory(MemoryPlan("cuda", "bfloat16", vae_tiling=True), "cuda", "a card")
    job = store.submit(replace(submission(), plan=plan))
    assert store.get(job.id).plan == job.plan == plan
    assert store.submit(submission()).plan is None


def test_fields_of_a_later_version_are_passed_over_and_stay_where_they_are(
    store: JobStore, raw: sqlite3.Connection
) -> None:
    job = succeeded(store)
    masks = [{"name": "a", "weight": 0.5}]
    change(raw, job, "generation", masks=masks, prompt="later")
    change(raw, job, "result", masks=masks)
    raw.execute("UPDATE jobs SET phase = 'interpolating'")
    found = store.get(job.id)
    assert found.generation == replace(generation(), prompt="later")
    assert found.result is not None
    assert found.result.to_dict()["masks"] == masks
    assert found.notices == job.notices
    (run,) = store.recent_runs()
    assert run == (found.generation, found.result)
    assert "masks" in raw.execute("SELECT generation FROM jobs").fetchone()[0]


def test_the_history_keeps_what_a_later_version_wrote_into_it(
    store: JobStore, raw: sqlite3.Connection
) -> None:
    job = store.submit(submission())
    store.release(store.claim("owner"))
    raw.execute("UPDATE jobs SET history = json_set(history, '$[0].device', 'cuda:1')")
    store.release(store.claim("owner"))
    assert [past.attempt for past in store.get(job.id).history] == [1, 2]
    assert json.loads(raw.execute("SELECT history FROM jobs").fetchone()[0])[0]["device"] == "cuda:1"


BROKEN = ["{", "[]", "null", "17", '{"prompt": 1}', '{"width": NaN}', ""]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("column", ["generation", "result", "request", "notices", "plan", "history"])
def test_a_column_that_cannot_be_read_hides_no_job(
    store: JobStore, raw: sqlite3.Connection, column: str, text: str
) -> None:
    job, other = succeeded(store), succeeded(store)
    raw.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", [text, job.id])
    found = store.get(job.id)
    assert [each.id for each in store.page().jobs] == [other.id, job.id]
    assert [each.id for each in store.page(search="waves").jobs][:1] == [other.id]
    assert (store.counts()["succeeded"], len(store.owned())) == (2, 2)
    is_read = (column, text) in [
        ("notices", "[]"), ("history", "[]"), ("request", '{"prompt": 1}'),
    ]  # fmt: skip
    assert [notice.code for notice in found.notices][-1:] == (
        ([] if column == "notices" else ["image.animated"]) if is_read else ["job.unreadable"]
    )
    runs = store.recent_runs()
    assert len(runs) == (1 if column in ("generation", "result") else 2)
    assert Forecast(runs, denoising_work({})).seconds(generation("another")) is not None
    store.delete(job.id)
    assert [each.id for each in store.page().jobs] == [other.id]


def test_damaged_text_hides_no_job(store: JobStore, raw: sqlite3.Connection) -> None:
    """A flipped bit makes bytes that are no UTF-8, in whatever column."""
    job = succeeded(store)
    for column in ("generation", "idempotency_key", "fingerprint", "history"):
        raw.execute(f"UPDATE jobs SET {column} = CAST(x'ff7b' AS TEXT)")
    (found,) = store.page().jobs
    assert (found.id, found.generation) == (job.id, None)
    assert store.page(search="waves").jobs == ()
    store.delete(job.id)


@pytest.mark.parametrize("error", ["[]", '{"code": 1, "message": "x"}', "{"])
def test_an_error_that_cannot_be_read_is_said_to_be_so(
    store: JobStore, raw: sqlite3.Connection, error: str
) -> None:
    job = store.submit(submission())
    store.fail(store.claim("owner"), {"code": "x", "params": {}, "message": "y"})
    raw.execute("UPDATE jobs SET error = ?", [error])
    found = store.get(job.id)
    assert found.error is not None
    assert found.error["code"] == "job.unreadable"
    assert store.retry(job.id).status == "queued"


def test_a_queued_job_that_cannot_be_read_fails_when_its_turn_comes_and_the_next_one_runs(
    store: JobStore, raw: sqlite3.Connection
) -> None:
    bad, good, worse = (store.submit(submission()) for _ in range(3))
    raw.execute("UPDATE jobs SET generation = '{}' WHERE id IN (?, ?)", [bad.id, worse.id])
    starts = Forecast([], denoising_work({})).starts(store.unfinished())
    assert starts == [0, 0, None]
    held = store.claim("owner")
    assert held is not None
    assert (held.job.id, held.generation) == (good.id, good.generation)
    failed = store.get(bad.id)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "job.unreadable")
    assert "prompt: Field required" in str(failed.error["message"])
    assert [past.ending for past in failed.history] == ["failed"]
    store.finish(held, result_of(good.id))
    assert store.claim("owner") is None
    assert store.counts()["failed"] == 2
    for job in (bad, worse):
        store.delete(job.id)


def test_it_is_logged_once(
    store: JobStore, raw: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    job = succeeded(store)
    raw.execute("UPDATE jobs SET generation = '{'")
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            store.get(job.id)
            store.page()
            store.recent_runs()
    (record,) = caplog.records
    assert f"job {job.id}: its details cannot be read: generation: " in record.getMessage()
