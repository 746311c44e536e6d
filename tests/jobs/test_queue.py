"""i2v.jobs.queue: nothing is claimed while it is paused, and jobs run in the order that was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, result_of, submission


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[JobStore]:
    with closing(JobStore(path)) as store:
        yield store


def waiting(store: JobStore) -> list[str]:
    return [job.id for job in store.unfinished() if job.status == "queued"]


def test_a_paused_queue_gives_nothing_out_and_takes_jobs_in(store: JobStore, path: Path) -> None:
    running = store.submit(submission())
    claim = store.claim("owner")
    assert claim is not None
    store.queue.pause(True)
    store.queue.pause(True)
    job = store.submit(submission())
    assert store.claim("owner") is None
    assert not store.queue.has_work()
    assert store.finish(claim, result_of(running.id)).status == "succeeded"
    with closing(JobStore(path)) as again:  # as after a restart
        assert again.queue.is_paused()
        again.queue.pause(False)
        assert again.queue.has_work()
    assert not store.queue.is_paused()
    second = store.claim("owner")
    assert second is not None
    assert second.job.id == job.id
    assert not store.queue.has_work()


def test_pausing_is_a_change_and_pausing_again_is_none(store: JobStore) -> None:
    before = store.revision()
    store.queue.pause(True)
    assert store.revision() == before + 1
    store.queue.pause(True)
    assert store.revision() == before + 1


@pytest.mark.parametrize(
    ("moved", "position", "expected"),
    [(2, 0, "cabd"), (2, 1, "acbd"), (0, 1, "bacd"), (0, 99, "bcda"), (3, -5, "dabc"), (1, 1, "abcd")],
)
def test_a_job_is_moved_and_the_others_keep_their_order(
    store: JobStore, moved: int, position: int, expected: str
) -> None:
    jobs = [store.submit(submission()).id for _ in range(4)]
    assert store.queue.move(jobs[moved], position).queue_position == expected.index("abcd"[moved])
    assert waiting(store) == [jobs["abcd".index(letter)] for letter in expected]
    last = store.submit(submission())
    assert waiting(store)[-1] == last.id
    claim = store.claim("owner")
    assert claim is not None
    assert claim.job.id == jobs["abcd".index(expected[0])]


def test_running_jobs_stay_before_all_that_wait(store: JobStore) -> None:
    running = store.submit(submission())
    claim = store.claim("owner")
    assert claim is not None
    first, second = (store.submit(submission()) for _ in range(2))
    assert store.queue.move(second.id, 0).queue_position == 1
    assert waiting(store) == [second.id, first.id]
    store.release(claim)
    assert waiting(store) == [running.id, second.id, first.id], "it has lost its place"
    store.cancel(first.id)
    with pytest.raises(InvalidRequest, match="only a waiting job can be moved"):
        store.queue.move(first.id, 0)
