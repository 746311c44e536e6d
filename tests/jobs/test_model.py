"""What may happen to a job: the docstring's table, cell by cell, and random events against a small model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import i2v.jobs.model
from i2v.core.errors import I2VError, InvalidRequest, QueueFull
from i2v.jobs.model import (
    MAX_DEATHS,
    MAX_HISTORY,
    MAX_INTERRUPTIONS,
    Claim,
    JobLost,
    JobStatus,
    Progress,
    new_job_id,
)
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, result_of, submission

ERROR = {"code": "device.no_cuda", "params": {}, "message": "No CUDA.", "hint": "Use the CPU."}

# Events by the name that they have in the docstring's table; the claim is the one under which the job ran.
EVENTS: dict[str, Callable[[JobStore, Claim], object]] = {
    "claim": lambda store, held: store.claim("other"),
    "heartbeat *": lambda store, held: store.heartbeat(held, Progress("denoising", 0.5)),
    "finish *": lambda store, held: store.finish(held, result_of("x")),
    "fail *": lambda store, held: store.fail(held, ERROR),
    "confirm_cancel *": lambda store, held: store.confirm_cancel(held),
    "release *": lambda store, held: store.release(held),
    "recover": lambda store, held: store.recover("owner"),
    "recover_interrupted": lambda store, held: store.recover_interrupted(),
    "cancel": lambda store, held: store.cancel(held.job.id),
    "retry": lambda store, held: store.retry(held.job.id),
    "delete": lambda store, held: store.delete(held.job.id),
    "trash": lambda store, held: store.library.trash(held.job.id),
}
COLUMNS = ("queued", "running", "succeeded", "failed, cancelled")


def documented() -> dict[tuple[str, str], str]:
    """Return the cells of the docstring's table by (event, column); lines without an event go on with it."""
    lines = iter((i2v.jobs.model.__doc__ or "").splitlines())
    rule = next(line for line in lines if line.strip().startswith("-----"))
    starts = [match.start() for match in re.finditer("-+", rule)]
    cells: dict[tuple[str, str], str] = {}
    event = ""
    for line in lines:
        if not line.strip():
            break
        parts = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        event = parts[0] or event
        for column, text in zip(COLUMNS, parts[1:], strict=True):
            cells[event, column] = f"{cells.get((event, column), '')} {text}".strip()
    return cells


TABLE = documented()
STATUSES: list[tuple[JobStatus, str]] = [
    ("queued", "queued"),
    ("running", "running"),
    ("succeeded", "succeeded"),
    ("failed", "failed, cancelled"),
    ("cancelled", "failed, cancelled"),
]


@pytest.fixture
def store() -> Iterator[JobStore]:
    with ram_folder() as folder:
        store = JobStore(folder / "jobs.db")
        yield store
        store.close()


def bring_to(store: JobStore, status: JobStatus) -> Claim:
    """Return the claim of a job that has run and is `status` now."""
    store.submit(submission())
    held = store.claim("owner")
    assert held is not None
    if status == "queued":
        store.release(held)
    elif status == "succeeded":
        store.finish(held, result_of(held.job.id))
    elif status == "failed":
        store.fail(held, ERROR)
    elif status == "cancelled":
        store.cancel(held.job.id)
        store.confirm_cancel(held)
    assert store.get(held.job.id).status == status
    return held


def test_the_table_names_every_event() -> None:
    assert {event for event, _ in TABLE} == set(EVENTS)
    assert len(TABLE) == len(EVENTS) * len(COLUMNS)


@pytest.mark.parametrize(("status", "column"), STATUSES, ids=[status for status, _ in STATUSES])
@pytest.mark.parametrize("event", EVENTS)
def test_each_cell_of_the_documented_table_is_so(
    store: JobStore, event: str, status: JobStatus, column: str
) -> None:
    expected = TABLE[event, column]
    held = bring_to(store, status)
    before = store.get(held.job.id)
    revision = store.revision()
    if expected == "no":
        with pytest.raises(InvalidRequest, match=rf"{held.job.id} is (already )?{status}"):
            EVENTS[event](store, held)
    elif expected == "lost" or expected.endswith("else lost"):
        with pytest.raises(JobLost):
            EVENTS[event](store, held)
    else:
        EVENTS[event](store, held)
    if expected in ("no", "lost", "-") or expected.endswith("else lost"):
        assert store.get(held.job.id) == before
        assert store.revision() == revision
    elif expected == "gone":
        with pytest.raises(InvalidRequest, match=r"There is no job"):
            store.get(held.job.id)
    else:
        after = store.get(held.job.id)
        assert after.status == re.match("[a-z]+", expected)[0]
        assert after.revision == store.revision() > revision


@pytest.mark.parametrize("event", [event for event in EVENTS if "asked for" in TABLE[event, "running"]])
def test_a_running_job_that_was_asked_to_stop_is_cancelled_by_each_event_that_says_so(
    store: JobStore, event: str
) -> None:
    held = bring_to(store, "running")
    store.cancel(held.job.id)
    EVENTS[event](store, held)
    job = store.get(held.job.id)
    assert (job.status, job.cancel_requested, job.error) == ("cancelled", False, None)


@pytest.mark.parametrize(
    ("event", "allowed", "code"),
    [
        ("recover", MAX_DEATHS - 1, "job.worker_died"),
        ("recover_interrupted", MAX_INTERRUPTIONS, "job.interrupted_too_often"),
    ],
)
def test_a_job_is_failed_when_the_table_says_and_not_before(
    store: JobStore, event: str, allowed: int, code: str
) -> None:
    assert {"recover": "twice", "recover_interrupted": "11th"}[event] in TABLE[event, "running"]
    job = store.submit(submission())
    for _ in range(allowed):
        held = store.claim("owner")
        EVENTS[event](store, held)
        assert store.get(job.id).status == "queued"
    store.release(store.claim("owner"))  # held against nobody
    EVENTS[event](store, store.claim("owner"))
    job = store.get(job.id)
    assert job.status == "failed"
    assert job.error["code"] == code
    assert str(allowed + 1) in job.error["message"]
    store.retry(job.id)
    store.claim("owner")
    EVENTS[event](store, held)
    assert store.get(job.id).status == "queued", "after retry, the counting begins anew"


def test_ids_are_long_random_and_safe_in_urls_and_file_names() -> None:
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{32}", job_id) for job_id in ids)


# --- at random, against a model of a few lines


@dataclass
class Modelled:
    id: str
    status: str = "queued"
    attempt: int = 0
    deaths: int = 0
    interruptions: int = 0
    asked_to_stop: bool = False
    owner: str | None = None
    progress: float = 0.0
    endings: list[str] = field(default_factory=list)

    def leave(self, status: str, ending: str) -> None:
        self.status, self.owner, self.asked_to_stop = status, None, False
        self.endings = [*self.endings, ending][-MAX_HISTORY:]
        if status == "queued":
            self.progress = 0.0

    def put_back(self, ending: str) -> None:
        self.deaths += ending == "died"
        self.interruptions += ending == "interrupted"
        worn_out = self.deaths >= MAX_DEATHS or self.interruptions > MAX_INTERRUPTIONS
        self.leave("cancelled" if self.asked_to_stop else "failed" if worn_out else "queued", ending)


MAX_QUEUED = 4
AWAY = 10.0
OWNERS = st.sampled_from(["a", "b", "c"])
NUMBER = st.integers(0, 1_000_000)


class StoreAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.now, self.monotonic = 1e9, 0.0
        self.store = JobStore(
            self.open.enter_context(ram_folder()) / "jobs.db",
            max_queued=MAX_QUEUED,
            clock=lambda: self.now,
            monotonic=lambda: self.monotonic,
        )
        self.jobs: list[Modelled] = []  # by submission
        self.queue: list[Modelled] = []  # running ones keep their place here
        self.claims: list[Claim] = []
        self.orphaned_at: dict[tuple[str, int], float] = {}

    def teardown(self) -> None:
        self.store.close()
        self.open.close()

    def any_job(self, number: int) -> Modelled:
        return self.jobs[number % len(self.jobs)]

    def queued(self) -> list[Modelled]:
        return [job for job in self.queue if job.status == "queued"]

    def holder(self, held: Claim) -> Modelled | None:
        """Return the job that the claim still holds."""
        key = (held.job.id, "running", held.owner, held.job.attempt)
        return next((job for job in self.jobs if (job.id, job.status, job.owner, job.attempt) == key), None)

    @rule(seconds=st.sampled_from([-86400.0, -1.0, 1.0, 86400.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([1.0, AWAY / 2, AWAY * 2]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        for _ in range(count):
            new = submission()
            if len(self.queued()) >= MAX_QUEUED:
                with pytest.raises(QueueFull):
                    self.store.submit(new)
                continue
            assert self.store.submit(new).id == new.id
            self.jobs.append(Modelled(new.id))
            self.queue.append(self.jobs[-1])

    @rule(owner=OWNERS)
    def claim(self, owner: str) -> None:
        held = self.store.claim(owner)
        first = next(iter(self.queued()), None)
        assert (held and held.job.id) == (first and first.id)
        if held is not None and first is not None:
            first.status, first.owner = "running", owner
            first.attempt += 1
            self.claims.append(held)

    def with_claim(self, number: int, act: Callable[[Claim], object]) -> Modelled | None:
        """Act with some claim, a recent one more likely than an old one; it must fail if the job is lost."""
        held = self.claims[-1 - number % min(len(self.claims), 3 + number % 5)]
        job = self.holder(held)
        if job is None:
            with pytest.raises(JobLost):
                act(held)
        else:
            act(held)
        return job

    @precondition(lambda self: self.claims)
    @rule(number=NUMBER, fraction=st.none() | st.floats(0, 1))
    def heartbeat(self, number: int, fraction: float | None) -> None:
        reported: list[bool] = []
        progress = None if fraction is None else Progress("denoising", fraction, 1, 2, 3.0, b"preview")
        job = self.with_claim(number, lambda held: reported.append(self.store.heartbeat(held, progress)))
        if job is not None:
            assert reported == [job.asked_to_stop]
            job.progress = job.progress if fraction is None else fraction

    @precondition(lambda self: self.claims)
    @rule(number=NUMBER, how=st.sampled_from(["finish", "fail", "confirm_cancel", "release"]))
    def worker_ends(self, number: int, how: str) -> None:
        acts: dict[str, Callable[[Claim], object]] = {
            "finish": lambda held: self.store.finish(held, result_of(held.job.id)),
            "fail": lambda held: self.store.fail(held, ERROR),
            "release": self.store.release,
        }
        if how == "confirm_cancel":
            self.confirm_cancel(number)
            return
        job = self.with_claim(number, acts[how])
        if job is not None and how == "release":
            job.put_back("released")
        elif job is not None:
            status = "succeeded" if how == "finish" else "failed"
            job.progress = 1.0 if how == "finish" else job.progress
            job.leave(status, status)

    def confirm_cancel(self, number: int) -> None:
        held = self.claims[number % len(self.claims)]
        job = self.holder(held)
        if job is None or not job.asked_to_stop:
            with pytest.raises(JobLost):
                self.store.confirm_cancel(held)
        else:
            self.store.confirm_cancel(held)
            job.leave("cancelled", "cancelled")

    @rule(owner=OWNERS)
    def recover(self, owner: str) -> None:
        dead = [job for job in self.jobs if job.status == "running" and job.owner == owner]
        assert [job.id for job in self.store.recover(owner)] == [job.id for job in dead]
        for job in dead:
            job.put_back("died")

    @rule(living=st.sets(OWNERS))
    def recover_orphans(self, living: set[str]) -> None:
        running = [job for job in self.jobs if job.status == "running"]
        orphans = [job for job in running if job.owner not in living]
        since = {(job.id, job.attempt): self.monotonic for job in orphans}
        self.orphaned_at = since | {key: at for key, at in self.orphaned_at.items() if key in since}
        lost = [job for job in orphans if self.monotonic - self.orphaned_at[job.id, job.attempt] >= AWAY]
        held = {job.id for job in running} - {job.id for job in orphans}
        assert [job.id for job in self.store.recover_orphans(held, AWAY)] == [job.id for job in lost]
        for job in lost:
            job.put_back("died")

    @rule()
    def the_service_starts(self) -> None:
        running = [job for job in self.jobs if job.status == "running"]
        assert [job.id for job in self.store.recover_interrupted()] == [job.id for job in running]
        for job in running:
            job.put_back("interrupted")

    @precondition(lambda self: self.jobs)
    @rule(number=NUMBER)
    def cancel(self, number: int) -> None:
        job = self.any_job(number)
        if job.status == "queued":
            self.store.cancel(job.id)
            job.status = "cancelled"
        elif job.status == "running":
            self.store.cancel(job.id)
            job.asked_to_stop = True
        else:
            with pytest.raises(InvalidRequest):
                self.store.cancel(job.id)

    @precondition(lambda self: self.jobs)
    @rule(number=NUMBER)
    def retry(self, number: int) -> None:
        job = self.any_job(number)
        allowed = job.status in ("failed", "cancelled")
        if not allowed or len(self.queued()) >= MAX_QUEUED:
            with pytest.raises(I2VError):
                self.store.retry(job.id)
            return
        self.store.retry(job.id)
        job.status, job.deaths, job.interruptions, job.progress = "queued", 0, 0, 0.0
        self.queue.remove(job)
        self.queue.append(job)

    @precondition(lambda self: self.jobs)
    @rule(number=NUMBER)
    def delete(self, number: int) -> None:
        job = self.any_job(number)
        if job.status in ("queued", "running"):
            with pytest.raises(InvalidRequest):
                self.store.delete(job.id)
        else:
            self.store.delete(job.id)
            self.jobs.remove(job)
            self.queue.remove(job)

    @invariant()
    def the_store_tells_what_the_model_has(self) -> None:
        reported = self.store.page(limit=1000).jobs
        assert [job.id for job in reported] == [job.id for job in reversed(self.jobs)]
        running = sum(job.status == "running" for job in self.jobs)
        positions = {job.id: running + n for n, job in enumerate(self.queued())}
        for job, modelled in zip(reported, reversed(self.jobs), strict=True):
            attempts = [past.ending for past in job.history]
            found = Modelled(
                job.id, job.status, job.attempt, job.deaths, job.interruptions, job.cancel_requested,
                job.owner, job.progress, attempts,
            )  # fmt: skip
            assert found == modelled
            assert job.queue_position == positions.get(job.id)
            times = [time for time in (job.created_at, job.started_at, job.finished_at) if time is not None]
            assert times == sorted(times)
        unfinished = self.store.unfinished()
        assert unfinished == [self.store.get(job.id) for job in unfinished]
        assert [job.id for job in unfinished[running:]] == [job.id for job in self.queued()]
        assert {job.id for job in unfinished[:running]} == {j.id for j in self.jobs if j.status == "running"}
        counts = {status: count for status, count in self.store.counts().items() if count}
        assert counts == {s: sum(j.status == s for j in self.jobs) for s in {j.status for j in self.jobs}}
        assert self.store.inputs() == {f"{job.id}.png" for job in self.jobs}


TestTheStoreAgainstAModel = StoreAgainstModel.TestCase
TestTheStoreAgainstAModel.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
