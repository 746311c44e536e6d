"""The job table: rows come back as they were given, none can contradict itself, no query reads them all."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.jobs import table as job_table
from i2v.jobs.model import Progress
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, result_of, submission


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


def test_what_was_submitted_comes_back_whole(store: JobStore) -> None:
    new = submission(prompt="镜头 🙂 'quoted\" \ud800")  # with a lone surrogate, which UTF-8 cannot carry
    job = store.submit(new)
    assert (job.id, job.input, job.output) == (new.id, new.input, new.output)
    assert (job.request, job.generation, job.notices) == (new.request, new.generation, new.notices)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_no_json_is_stored_that_a_reply_could_not_carry(store: JobStore, number: float) -> None:
    store.submit(submission())
    held = store.claim("owner")
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.finish(held, replace(result_of(held.job.id), seconds={"denoise": number}))
    assert store.get(held.job.id).status == "running"


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_a_progress_that_is_none_is_refused(store: JobStore, fraction: float) -> None:
    store.submit(submission())
    held = store.claim("owner")
    with pytest.raises(sqlite3.IntegrityError):
        store.heartbeat(held, Progress("denoising", fraction))


@pytest.mark.parametrize(
    "change",
    [
        "status = 'running'",  # without an owner
        "status = 'paused'",
        "owner = 'somebody'",  # of a queued job
        "cancel_requested = 1",
        "status = 'succeeded', finished_at = 1.0",  # without a result
        "status = 'failed', finished_at = 1.0",  # without an error
        "status = 'cancelled'",  # without a time
        "finished_at = 1.0",
        "attempt = 'one'",
    ],
)
def test_a_row_cannot_contradict_itself(store: JobStore, raw: sqlite3.Connection, change: str) -> None:
    store.submit(submission())
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"UPDATE jobs SET {change}")


def plan_of(raw: sqlite3.Connection, statement: str, **values: object) -> str:
    names = re.findall(r":(\w+)", statement)
    rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", dict.fromkeys(names) | values).fetchall()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize(
    "where",
    [
        "id = 'abc'",
        "status = 'queued' ORDER BY seq DESC LIMIT 50",
        "seq < 10 ORDER BY seq DESC LIMIT 50",
        "status = 'running' ORDER BY seq",
    ],
)
def test_no_query_reads_or_sorts_the_whole_table(raw: sqlite3.Connection, where: str) -> None:
    plan = plan_of(raw, f"{job_table.SELECT} WHERE {where}")
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
    assert "earlier USING COVERING INDEX jobs_queue (status=? AND place<?)" in plan


def test_the_statements_of_the_hot_path_use_an_index(
    store: JobStore, path: Path, raw: sqlite3.Connection
) -> None:
    statements: list[str] = []
    with store._database.write() as db:
        db.set_trace_callback(statements.append)
    store.submit(submission(key="key"))
    held = store.claim("owner")
    store.heartbeat(held, Progress("denoising", 0.5, preview=b"picture"))
    store.counts()
    with store._database.write() as db:
        db.set_trace_callback(None)
    changes = [text for text in statements if "jobs" in text]
    assert len(changes) >= 6
    for text in changes:
        plan = plan_of(raw, text.split("RETURNING")[0])
        assert not re.search(r"SCAN (jobs|previews)\b(?! USING (COVERING )?INDEX)", plan), f"{text}\n{plan}"
