"""The store: the order of the queue, claims and fences, refusals, pages, counters, clocks, many threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest, Notice, QueueFull
from i2v.jobs.database import Database
from i2v.jobs.model import MAX_HISTORY, Claim, Job, JobLost, OutputTaken, Progress
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, result_of, submission

AWAY = 30.0  # seconds without a worker after which a job is put back


class Clocks:
    """Wall and monotonic clock, to be set by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_700_000_000.0, 100.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path, clocks: Clocks) -> Iterator[JobStore]:
    store = JobStore(
        path,
        max_queued=20,
        clock=lambda: clocks.wall,
        monotonic=lambda: clocks.monotonic,
    )
    yield store
    store.close()


def claimed(store: JobStore, owner: str = "owner") -> Claim:
    held = store.claim(owner)
    assert held is not None
    return held


def ids(jobs: tuple[Job, ...]) -> list[str]:
    return [job.id for job in jobs]


# --- accepted


def test_a_new_job_is_queued_and_tells_it(store: JobStore, clocks: Clocks) -> None:
    job = store.submit(submission())
    assert (job.status, job.phase, job.progress, job.attempt, job.queue_position) == (
        "queued", "queued", 0.0, 0, 0,
    )  # fmt: skip
    assert (job.created_at, job.started_at, job.finished_at) == (clocks.wall, None, None)
    assert (job.owner, job.error, job.result, job.history) == (None, None, None, ())
    assert store.get(job.id) == job


def test_what_was_accepted_is_there_when_the_store_is_opened_again(store: JobStore, path: Path) -> None:
    job = store.submit(submission())
    other = JobStore(path)
    assert other.get(job.id) == job
    other.close()


def test_the_same_key_and_request_is_the_same_job(store: JobStore) -> None:
    first = store.submit(submission(key="k1"))
    again = submission(key="k1")
    assert store.submit(again) == first
    assert first.id != again.id
    other = store.submit(submission(key="k2"))
    assert ids(store.page().jobs) == [other.id, first.id]


def test_the_same_key_for_another_request_is_refused(store: JobStore) -> None:
    store.submit(submission(key="k1", fingerprint="one"))
    with pytest.raises(
        InvalidRequest, match="Idempotency-Key k1 was already used for another request"
    ) as caught:
        store.submit(submission(key="k1", fingerprint="two"))
    assert caught.value.code == "job.idempotency_conflict"
    assert len(store.page().jobs) == 1


def test_a_key_is_remembered_when_its_job_is_finished_and_free_when_it_is_deleted(store: JobStore) -> None:
    first = store.submit(submission(key="k1"))
    store.cancel(first.id)
    assert store.submit(submission(key="k1")).id == first.id
    store.delete(first.id)
    assert store.submit(submission(key="k1", fingerprint="two")).id != first.id


def test_no_two_jobs_own_the_same_output(store: JobStore) -> None:
    job = store.submit(submission())
    with pytest.raises(OutputTaken, match=job.output):
        store.submit(replace(submission(), output=job.output))
    store.cancel(job.id)
    store.delete(job.id)
    store.submit(replace(submission(), output=job.output))


def test_a_full_queue_refuses_new_jobs_and_retries_but_not_a_replay(store: JobStore) -> None:
    failed = store.submit(submission())
    store.fail(claimed(store), {"code": "x"})
    jobs = [store.submit(submission(key=str(n))) for n in range(20)]
    with pytest.raises(QueueFull, match="20 jobs are waiting, and the limit is 20") as caught:
        store.submit(submission())
    assert caught.value.params == {"queued": 20, "allowed": 20}
    with pytest.raises(QueueFull):
        store.retry(failed.id)
    assert store.submit(submission(key="3")).id == jobs[3].id
    claimed(store)  # a running job does not wait
    store.retry(failed.id)


# --- the queue


def test_jobs_are_claimed_in_the_order_they_came_and_each_once(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(5)]
    assert [claimed(store).job.id for _ in jobs] == [job.id for job in jobs]
    assert store.claim("owner") is None


def test_a_claim_tells_who_has_the_job_and_since_when(store: JobStore, clocks: Clocks) -> None:
    store.submit(submission())
    clocks.wall += 5
    held = claimed(store, "gpu 0")
    assert held.owner == held.job.owner == "gpu 0"
    assert (held.job.status, held.job.phase, held.job.attempt) == ("running", "loading", 1)
    assert held.job.started_at == clocks.wall
    assert store.get(held.job.id) == held.job


def test_the_position_counts_who_is_running_or_queued_before(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(4)]
    claimed(store)
    assert [store.get(job.id).queue_position for job in jobs] == [None, 1, 2, 3]
    store.cancel(jobs[1].id)
    assert [job.queue_position for job in store.page().jobs] == [2, 1, None, None]


@pytest.mark.parametrize("way_back", ["release", "recover", "recover_interrupted"])
def test_a_job_that_comes_back_keeps_its_place_and_loses_its_progress(store: JobStore, way_back: str) -> None:
    first, second = store.submit(submission()), store.submit(submission())
    held = claimed(store)
    store.heartbeat(held, Progress("denoising", 0.5, 5, 10, 60.0, b"picture"))
    if way_back == "release":
        store.release(held)
    elif way_back == "recover":
        assert ids(tuple(store.recover("owner"))) == [first.id]
    else:
        assert ids(tuple(store.recover_interrupted())) == [first.id]
    back = store.get(first.id)
    assert (back.status, back.phase, back.progress, back.step, back.total) == (
        "queued", "queued", 0.0, None, None,
    )  # fmt: skip
    assert (back.eta_seconds, back.preview_revision, back.started_at, back.owner) == (None,) * 4
    assert store.preview(first.id) is None
    assert (back.deaths, back.interruptions) == (way_back == "recover", way_back == "recover_interrupted")
    assert back.queue_position == 0
    assert [claimed(store).job.id, claimed(store).job.id] == [first.id, second.id]


def test_a_retried_job_goes_to_the_end_and_keeps_what_was_asked(store: JobStore) -> None:
    first = store.submit(submission())
    store.fail(claimed(store), {"code": "x"})
    second = store.submit(submission())
    retried = store.retry(first.id)
    assert (retried.status, retried.error, retried.finished_at, retried.queue_position) == (
        "queued", None, None, 1,
    )  # fmt: skip
    assert (retried.request, retried.generation, retried.input, retried.output) == (
        first.request, first.generation, first.input, first.output,
    )  # fmt: skip
    assert [claimed(store).job.id, claimed(store).job.id] == [second.id, first.id]


# --- while it runs


def test_progress_is_reported_and_kept_until_the_next(store: JobStore) -> None:
    store.submit(submission())
    held = claimed(store)
    assert store.heartbeat(held, Progress("denoising", 0.25, 12, 50, 90.5, b"one")) is False
    job = store.get(held.job.id)
    assert (job.phase, job.progress, job.step, job.total, job.eta_seconds) == (
        "denoising", 0.25, 12, 50, 90.5,
    )  # fmt: skip
    assert (store.preview(job.id), job.preview_revision) == (b"one", job.revision)
    store.heartbeat(held, Progress("decoding", 0.9))
    later = store.get(job.id)
    assert (later.phase, later.step, later.total, later.eta_seconds) == ("decoding", None, None, None)
    assert (store.preview(job.id), later.preview_revision) == (b"one", job.preview_revision)
    store.heartbeat(held)
    assert store.get(job.id) == later


def test_notices_are_replaced_and_kept_and_each_change_is_seen(store: JobStore) -> None:
    store.submit(submission())
    held = claimed(store)
    rung = Notice("ladder.denoise", {}, "Memory ran out.")
    for progress in (Progress("denoising", 0.25), None):
        before = store.get(held.job.id)
        store.heartbeat(held, progress, [*before.notices, rung])
        job = store.get(held.job.id)
        assert job.notices == (*before.notices, rung)
        assert job.revision > before.revision
    store.heartbeat(held, Progress("decoding", 0.9))
    assert store.get(held.job.id).notices == job.notices
    store.heartbeat(held, None, [])
    assert store.get(held.job.id).notices == ()


def test_a_request_to_stop_reaches_the_worker_at_its_next_heartbeat(store: JobStore) -> None:
    store.submit(submission())
    held = claimed(store)
    job = store.cancel(held.job.id)
    assert (job.status, job.cancel_requested) == ("running", True)
    assert store.cancel(held.job.id) == job  # once more changes nothing
    assert store.heartbeat(held, Progress("denoising", 0.5)) is True
    assert store.heartbeat(held) is True
    job = store.confirm_cancel(held)
    assert (job.status, job.phase, job.progress) == ("cancelled", "denoising", 0.5)


def test_a_job_that_was_done_before_it_could_stop_has_succeeded(store: JobStore) -> None:
    store.submit(submission())
    held = claimed(store)
    store.cancel(held.job.id)
    assert store.finish(held, result_of(held.job.id)).status == "succeeded"


def test_a_finished_job_has_its_result_and_no_preview(store: JobStore, clocks: Clocks) -> None:
    store.submit(submission())
    held = claimed(store)
    store.heartbeat(held, Progress("encoding", 0.97, 1, 2, 3.0, b"picture"))
    clocks.wall += 60
    job = store.finish(held, result_of(held.job.id))
    assert (job.status, job.progress, job.phase, job.eta_seconds) == ("succeeded", 1.0, "encoding", None)
    assert (job.result, job.error, job.finished_at) == (result_of(job.id), None, clocks.wall)
    assert (job.preview_revision, store.preview(job.id)) == (None, None)
    assert job == store.get(job.id)


def test_a_failed_job_has_its_error_as_it_was_given(store: JobStore) -> None:
    store.submit(submission())
    error = {
        "code": "engine.out_of_memory",
        "params": {"reason": "12 GiB"},
        "message": "...",
        "hint": "Smaller.",
    }
    job = store.fail(claimed(store), error)
    assert (job.status, job.error, job.result) == ("failed", error, None)


ENDS: dict[str, Callable[[JobStore, Claim], object]] = {
    "heartbeat": lambda store, held: store.heartbeat(held),
    "progress": lambda store, held: store.heartbeat(held, Progress("decoding", 0.9, preview=b"stale")),
    "finish": lambda store, held: store.finish(held, result_of("x")),
    "fail": lambda store, held: store.fail(held, {"code": "x"}),
    "confirm_cancel": lambda store, held: store.confirm_cancel(held),
    "release": lambda store, held: store.release(held),
}


@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS)
def test_only_the_owner_may_use_its_claim(store: JobStore, act: Callable[[JobStore, Claim], object]) -> None:
    store.submit(submission())
    held = claimed(store)
    store.cancel(held.job.id)
    before = store.get(held.job.id)
    with pytest.raises(JobLost):
        act(store, replace(held, owner="somebody else"))
    assert store.get(held.job.id) == before


@pytest.mark.parametrize("next_owner", ["owner", "other"], ids=["itself", "another"])
@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS)
def test_who_lost_a_job_changes_nothing_even_if_it_holds_the_job_anew(
    store: JobStore, act: Callable[[JobStore, Claim], object], next_owner: str
) -> None:
    store.submit(submission())
    lost = claimed(store)
    store.recover("owner")
    held = claimed(store, next_owner)
    store.cancel(held.job.id)  # so that `confirm_cancel` is kept out by the fence alone
    before = store.get(held.job.id)
    with pytest.raises(JobLost):
        act(store, lost)
    assert store.get(held.job.id) == before
    assert store.preview(held.job.id) is None
    store.heartbeat(held)


def test_a_claim_from_before_a_retry_does_not_fit_again(store: JobStore) -> None:
    store.submit(submission())
    old = claimed(store)
    store.fail(old, {"code": "x"})
    store.retry(old.job.id)
    new = claimed(store)
    assert new.job.attempt == 2
    with pytest.raises(JobLost):
        store.heartbeat(old)


# --- the dead


def test_a_job_is_put_back_when_no_worker_has_been_at_it_for_a_while(store: JobStore, clocks: Clocks) -> None:
    store.submit(submission())
    held = claimed(store)
    for _ in range(3):  # as after each job: the worker has not said yet that it has the next one
        assert store.recover_orphans((), AWAY) == []
        clocks.monotonic += AWAY - 1
        assert store.recover_orphans((), AWAY) == []
        clocks.monotonic += 1
        assert store.recover_orphans({held.job.id, "another"}, AWAY) == []
    assert store.recover_orphans({"another"}, AWAY) == []
    store.heartbeat(held)  # says nothing: whoever sends it may be at another job already
    clocks.monotonic += AWAY
    (job,) = store.recover_orphans({"another"}, AWAY)
    assert (job.id, job.status, job.deaths) == (held.job.id, "queued", 1)
    assert store.recover_orphans((), AWAY) == []


def test_each_attempt_has_its_own_time_without_a_worker(store: JobStore, clocks: Clocks) -> None:
    store.submit(submission())
    held = claimed(store)
    assert store.recover_orphans((), AWAY) == []
    clocks.monotonic += AWAY
    store.release(held)
    held = claimed(store)
    assert store.recover_orphans((), AWAY) == []
    assert store.heartbeat(held) is False
    clocks.monotonic += AWAY
    assert ids(tuple(store.recover_orphans((), AWAY))) == [held.job.id]


def test_only_the_dead_owners_jobs_are_taken_away(store: JobStore) -> None:
    store.submit(submission())
    store.submit(submission())
    lost, held = claimed(store, "gpu 0"), claimed(store, "gpu 1")
    assert ids(tuple(store.recover("gpu 0"))) == [lost.job.id]
    assert store.recover("nobody") == []
    store.heartbeat(held)


def test_a_job_that_killed_its_worker_twice_says_so_and_what_to_do(store: JobStore) -> None:
    store.submit(submission())
    claimed(store)
    store.recover("owner")
    claimed(store)
    (job,) = store.recover("owner")
    assert (job.status, job.deaths) == ("failed", 2)
    expected = I2VError("job.worker_died", deaths=2).to_dict()
    assert job.error == expected
    assert "lower resolution" in str(job.error["message"])


def test_the_history_tells_how_the_last_attempts_ended(store: JobStore, clocks: Clocks) -> None:
    job = store.submit(submission())
    begin = clocks.wall
    held = claimed(store)
    clocks.wall += 10
    store.release(held)
    store.fail(claimed(store), {"code": "x"})
    past = store.get(job.id).history
    assert [(one.attempt, one.ending, one.error) for one in past] == [
        (1, "released", None),
        (2, "failed", {"code": "x"}),
    ]
    assert (past[0].started_at, past[0].ended_at) == (begin, begin + 10)
    store.retry(job.id)
    for _ in range(2 * MAX_HISTORY):
        store.release(claimed(store))
    past = store.get(job.id).history
    assert [one.attempt for one in past] == list(
        range(2 * MAX_HISTORY + 2 - MAX_HISTORY + 1, 2 * MAX_HISTORY + 3)
    )


# --- clocks


def test_a_clock_that_is_set_back_neither_reorders_nor_loses_anything(
    store: JobStore, clocks: Clocks
) -> None:
    jobs = []
    for _ in range(4):
        jobs.append(store.submit(submission()))
        clocks.wall -= 86_400
    assert ids(store.page().jobs) == [job.id for job in reversed(jobs)]
    for job in jobs:
        held = claimed(store)
        assert held.job.id == job.id
        clocks.wall -= 86_400
        store.heartbeat(held)
        done = store.finish(held, result_of(job.id))
        assert done.created_at <= done.started_at <= done.finished_at
        assert done.history[0].started_at <= done.history[0].ended_at


@pytest.mark.parametrize("days", [-1, 1])
def test_setting_the_clock_puts_back_no_living_job_and_keeps_no_lost_one(
    store: JobStore, clocks: Clocks, days: int
) -> None:
    store.submit(submission())
    claimed(store)
    assert store.recover_orphans((), AWAY) == []
    clocks.wall += days * 86_400
    clocks.monotonic += AWAY / 2
    assert store.recover_orphans((), AWAY) == []
    clocks.monotonic += AWAY / 2
    assert len(store.recover_orphans((), AWAY)) == 1


def test_the_job_of_a_worker_that_is_known_to_live_is_left_to_it(store: JobStore, clocks: Clocks) -> None:
    store.submit(submission())
    store.submit(submission())
    mine, lost = claimed(store, "gpu 0"), claimed(store, "gpu 0")  # it never heard that it has the second
    assert store.recover_orphans({mine.job.id}, AWAY) == []
    clocks.monotonic += AWAY
    assert ids(tuple(store.recover_orphans({mine.job.id}, AWAY))) == [lost.job.id]
    assert store.heartbeat(mine) is False


# --- what is asked


@pytest.mark.parametrize(
    "ask", [JobStore.get, JobStore.cancel, JobStore.retry, JobStore.delete], ids=lambda ask: ask.__name__
)
def test_an_unknown_id_is_said(store: JobStore, ask: Callable[[JobStore, str], object]) -> None:
    with pytest.raises(InvalidRequest, match=r"There is no job x\\n\\ud800") as caught:
        ask(store, "x\n\ud800")
    assert caught.value.code == "job.unknown"


def test_pages_hold_every_job_once_while_others_come_and_go(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(10)]
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = store.page(cursor=cursor, limit=3)
        seen += ids(page.jobs)
        cursor = page.next_cursor
        store.submit(submission())  # newer than all pages
        store.cancel(page.jobs[-1].id)
        store.delete(page.jobs[-1].id)  # the one that the cursor stands at
    assert seen == [job.id for job in reversed(jobs)]
    assert cursor is None


def test_a_page_that_ends_with_the_last_job_has_no_next_one(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(3)]
    assert store.page(limit=3).next_cursor is None
    assert store.page(limit=2).next_cursor is not None
    assert ids(store.page(cursor="0").jobs) == []
    assert ids(store.page(cursor="9" * 18).jobs) == [job.id for job in reversed(jobs)]


def test_pages_can_be_of_one_status(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(6)]
    for job in jobs[::2]:
        store.cancel(job.id)
    page = store.page("cancelled", limit=2)
    assert ids(page.jobs) == [jobs[4].id, jobs[2].id]
    assert ids(store.page("cancelled", page.next_cursor).jobs) == [jobs[0].id]
    assert ids(store.page("succeeded").jobs) == []


def test_finished_jobs_are_those_that_nothing_more_happens_to(store: JobStore) -> None:
    jobs = [store.submit(submission()) for _ in range(5)]
    store.finish(claimed(store), result_of(jobs[0]))
    store.fail(claimed(store), {"code": "job.cancelled", "params": {}, "message": ""})
    claimed(store)
    store.cancel(jobs[3].id)
    assert ids(store.page("finished").jobs) == [jobs[3].id, jobs[1].id, jobs[0].id]


PROMPTS = ("A cat walks left", "100% of it, in a_b", "C:\\clips", "镜头向左平移", "10 of it, in acb")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", [4, 3, 2, 1, 0]), ("CAT", [0]), ("cat walks", [0]), ("walks cat", []), ("of it", [4, 1]),
        ("向左", [3]), ("向右", []), ("%", [1]), ("100%", [1]), ("%%", []), ("_", [1]), ("a_b", [1]),
        ("\\", [2]), ("\\c", [2]), ("\\_", []), ("'", []),
    ],
)  # fmt: skip
def test_a_search_finds_part_of_the_prompt_as_it_stands(
    store: JobStore, search: str, found: list[int]
) -> None:
    jobs = [store.submit(submission(prompt=prompt)) for prompt in PROMPTS]
    assert ids(store.page(search=search).jobs) == [jobs[number].id for number in found]


def test_a_search_goes_on_with_its_cursor_and_its_status(store: JobStore) -> None:
    jobs = [store.submit(submission(prompt=PROMPTS[number % 2])) for number in range(8)]
    store.cancel(jobs[0].id)
    page = store.page(limit=3, search="cat")
    assert ids(page.jobs) == [jobs[6].id, jobs[4].id, jobs[2].id]
    rest = store.page(cursor=page.next_cursor, search="cat")
    assert (ids(rest.jobs), rest.next_cursor) == ([jobs[0].id], None)
    assert ids(store.page("cancelled", search="cat").jobs) == [jobs[0].id]
    assert ids(store.page("cancelled", search="100").jobs) == []


@pytest.mark.parametrize("search", ["\0", "\ud800", "x" * 2001])
def test_a_search_that_no_prompt_can_hold_is_refused(store: JobStore, search: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.page(search=search)
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", "search")
    assert ids(store.page(search="%" * 2000).jobs) == []


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", " 1", "١", "9" * 30, "1;DROP TABLE jobs", "\0"])
def test_a_cursor_that_is_none_is_refused(store: JobStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="Use next_cursor from the previous page"):
        store.page(cursor=cursor)


def test_counts_have_every_status(store: JobStore) -> None:
    assert store.counts() == dict.fromkeys(("queued", "running", "succeeded", "failed", "cancelled"), 0)
    for _ in range(3):
        store.submit(submission())
    claimed(store)
    store.finish(claimed(store), result_of("x"))
    assert store.counts() == {"queued": 1, "running": 1, "succeeded": 1, "failed": 0, "cancelled": 0}


def test_inputs_of_all_jobs_are_owned_until_they_are_deleted(store: JobStore) -> None:
    first, second = store.submit(submission()), store.submit(submission())
    store.cancel(first.id)
    assert store.inputs() == {first.input, second.input}
    assert store.has_input(first.input)
    assert store.delete(first.id).input == first.input
    assert store.inputs() == {second.input}
    assert (store.has_input(first.input), store.has_input(second.input)) == (False, True)


def test_jobs_are_reported_with_their_files_those_first_that_ended_first(path: Path) -> None:
    store = JobStore(path, clock=itertools.count(1.0).__next__)
    waiting, late, early = (store.submit(submission()) for _ in range(3))
    for job in (early, late):
        store.cancel(job.id)
    owned = store.owned()
    assert [each.id for each in owned] == [early.id, late.id, waiting.id]
    assert (owned[0].inputs, owned[0].output) == ((early.input,), early.output)
    assert owned[0].finished_at == store.get(early.id).finished_at
    assert owned[2].finished_at is None


def test_recent_runs_are_the_succeeded_ones_newest_first(store: JobStore) -> None:
    for n in range(3):
        store.submit(submission(prompt=f"clip {n}"))
        store.finish(claimed(store), replace(result_of("x"), seconds={"denoise": float(n)}))
    store.submit(submission())
    store.fail(claimed(store), {"code": "x"})
    runs = store.recent_runs(limit=2)
    assert [(generation.prompt, result.seconds) for generation, result in runs] == [
        ("clip 2", {"denoise": 2.0}),
        ("clip 1", {"denoise": 1.0}),
    ]


def test_the_counter_moves_on_with_every_change_and_only_then(store: JobStore, path: Path) -> None:
    other = JobStore(path)
    held: list[Claim] = []
    changes: list[Callable[[], object]] = [
        lambda: store.submit(submission()),
        lambda: held.append(claimed(store)),
        lambda: store.heartbeat(held[0], Progress("denoising", 0.1)),
        lambda: store.heartbeat(held[0], Progress("denoising", 0.1, preview=b"x")),
        lambda: store.cancel(held[0].job.id),
        lambda: store.confirm_cancel(held[0]),
        lambda: store.retry(held[0].job.id),
    ]
    for change in changes:
        before = other.revision()
        change()
        assert other.revision() == before + 1
        assert store.page().jobs[0].revision == before + 1
    before = other.revision()
    claimed(store)
    store.recover_orphans((), AWAY)
    store.recover("nobody")
    assert store.claim("owner") is None
    with pytest.raises(JobLost):
        store.heartbeat(held[0])
    assert other.revision() == before + 1
    store.recover_interrupted()
    store.cancel(held[0].job.id)
    store.delete(held[0].job.id)
    assert other.revision() == before + 4, "a deletion is a change too"
    other.close()


def test_every_change_waits_for_the_disk_except_a_heartbeat(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    write = Database.write

    def recorded(self: Database, durable: bool = True) -> object:
        waited.append(durable)
        return write(self, durable)

    monkeypatch.setattr(Database, "write", recorded)
    for end in (JobStore.release, lambda s, held: s.fail(held, {"code": "x"}), JobStore.confirm_cancel):
        job = store.submit(submission())
        held = claimed(store)
        store.cancel(job.id)
        end(store, held)
        store.retry(job.id)
        store.finish(claimed(store), result_of(job.id))
        store.delete(job.id)
    store.recover("owner")
    store.recover_orphans((), AWAY)
    store.recover_interrupted()
    assert waited == [True] * (3 * 8 + 3)
    store.submit(submission())
    held = claimed(store)
    count = len(waited)
    store.heartbeat(held)
    assert len(waited) == count, "it only reads"
    store.heartbeat(held, Progress("denoising", 0.5, preview=b"x"))
    assert waited[count:] == [False]


# --- at once


def at_once(act: Callable[[int], object], count: int = 8) -> list[object]:
    """Return what `act` returned or raised in each of `count` threads."""
    barrier = threading.Barrier(count)
    outcomes: list[object] = [None] * count

    def run(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = act(number)
        except Exception as error:  # it is the outcome
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_key_submitted_by_many_at_once_makes_one_job(store: JobStore) -> None:
    jobs = at_once(lambda _: store.submit(submission(key="k1")))
    assert len({job.id for job in jobs}) == 1
    assert len(store.page().jobs) == 1


def test_a_queue_is_never_overfilled_by_many_at_once(store: JobStore) -> None:
    for _ in range(17):
        store.submit(submission())
    outcomes = at_once(lambda _: store.submit(submission()))
    assert sum(isinstance(outcome, QueueFull) for outcome in outcomes) == 5
    assert store.counts()["queued"] == 20


def test_many_who_claim_one_job_at_once_leave_it_to_one(store: JobStore) -> None:
    store.submit(submission())
    claims = at_once(lambda number: store.claim(f"owner {number}"))
    assert sum(held is not None for held in claims) == 1
