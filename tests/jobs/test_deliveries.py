"""Messages in the database: one for each report, whoever dies; who is due, given up, sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.webhook import BatchWebhook, Endpoint, Webhook
from i2v.jobs.batches import NewRow
from i2v.jobs.deliveries import KEPT_SECONDS, Delivery
from i2v.jobs.outbox import DAY
from i2v.jobs.store import JobStore
from tests.job_crew import ram_folder, submission

NOW = 1_700_000_000.0
WANTED = {"url": "https://all.example/a", "events": ["job.submitted", "job.cancelled", "job.deleted"]}
ALL, OWN = Endpoint.parse(WANTED), Webhook.parse(WANTED)
ENDED = Endpoint.parse({"url": "https://ended.example/b"})
ERROR: dict[str, object] = {"code": "webhook.refused", "params": {"status": 500}, "message": "why"}


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[JobStore]:
    store = JobStore(path, clock=clock)
    yield store
    store.close()


def run_a_job(store: JobStore, own: Webhook | None = None) -> str:
    """Submit, cancel and delete a job; return its id."""
    webhook = None if own is None else own.model_dump_json()
    job = store.submit(replace(submission(), webhook=webhook))
    store.cancel(job.id)
    store.delete(job.id)
    return job.id


def all_of(store: JobStore) -> list[Delivery]:
    """Return all messages, the oldest first."""
    return list(reversed(store.deliveries.page(None, None, 200).deliveries))


def test_each_report_is_one_message_to_each_who_wants_it(store: JobStore) -> None:
    job_id = run_a_job(store)
    assert store.deliveries.take_up([ALL, ENDED]) == 3
    assert store.deliveries.take_up([ALL, ENDED]) == 0
    found = all_of(store)
    assert [(each.event, each.host) for each in found] == [
        ("job.submitted", "https://all.example:443"),
        ("job.cancelled", "https://all.example:443"),
        ("job.cancelled", "https://ended.example:443"),
        ("job.deleted", "https://all.example:443"),
    ]
    assert len({each.id for each in found}) == 4
    assert {(each.job_id, each.status, each.attempts, each.next_at) for each in found} == {
        (job_id, "pending", 0, NOW)
    }
    assert json.loads(found[1].body) == {
        "type": "job.cancelled",
        "timestamp": "2023-11-14T22:13:20Z",
        "data": {"job_id": job_id, "attempt": 0, "engine": "tiny", "error": None,
                 "notices": ["image.animated"]},
    }  # fmt: skip


def test_a_job_s_own_webhook_is_told_also_that_the_job_is_gone(store: JobStore) -> None:
    own = Webhook.parse({**OWN.model_dump(), "secret": "whsec_" + "A" * 32})
    run_a_job(store, own)
    run_a_job(store)
    store.deliveries.take_up([])
    found = all_of(store)
    assert [each.event for each in found] == ["job.submitted", "job.cancelled", "job.deleted"]
    assert {(each.is_own, each.secret) for each in found} == {(True, "whsec_" + "A" * 32)}


def test_a_batch_s_own_webhook_and_those_of_the_settings_are_told_that_it_has_finished(
    store: JobStore,
) -> None:
    own = BatchWebhook.parse({"url": "https://batch.example/b"})
    batch = store.batches.create("a", {}, webhook=own.model_dump_json()).id
    store.batches.add(batch, [NewRow("x", {}, error=ERROR)])
    wanting = Endpoint.parse({"url": "https://all.example/a", "events": ["batch.finished"]})
    store.deliveries.take_up([wanting, ENDED])
    found = all_of(store)
    assert [(each.host, each.is_own) for each in found] == [
        ("https://batch.example:443", True),
        ("https://all.example:443", False),
    ]
    assert {(each.batch_id, each.job_id, each.event) for each in found} == {(batch, None, "batch.finished")}
    message = {
        "type": "batch.finished",
        "timestamp": "2023-11-14T22:13:20Z",
        "data": {"batch_id": batch, "counts": {"failed": 1}},
    }
    assert [json.loads(each.body) for each in found] == [message] * 2


def test_a_webhook_that_another_version_wrote_stops_nobody_else_s(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.submit(replace(submission(), webhook='{"url": "secret://x", "later": 1}'))
    store.submit(replace(submission(), webhook=OWN.model_dump_json()))
    store.deliveries.take_up([])
    assert [each.event for each in all_of(store)] == ["job.submitted"]
    assert "cannot be read" in caplog.text
    assert "secret" not in caplog.text


def test_who_dies_between_reading_and_noting_makes_no_message_twice(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_a_job(store)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("i2v.jobs.deliveries.move_position", die)
        with pytest.raises(KeyboardInterrupt):
            store.deliveries.take_up([ALL])
    assert all_of(store) == []
    store.deliveries.take_up([ALL])
    assert len(all_of(store)) == 3


def test_the_pages_of_others_do_not_notice_messages(store: JobStore) -> None:
    run_a_job(store)
    before = store.revision()
    store.deliveries.take_up([ALL])
    store.deliveries.delivered(all_of(store)[0].id)
    assert store.revision() == before


def test_one_message_a_host_is_due_the_most_overdue_first(store: JobStore, clock: Clock) -> None:
    run_a_job(store)
    store.deliveries.take_up([ALL, ENDED])
    first, second, third, _ = all_of(store)
    due = store.deliveries.due([], 10)
    assert {each.host for each in due} == {first.host, third.host}
    assert store.deliveries.due([first.host], 10) == [third]
    assert len(store.deliveries.due([], 1)) == 1
    store.deliveries.postpone(first.id, 60.0, ERROR)
    assert [each.id for each in store.deliveries.due([third.host], 10)] == [second.id]
    clock.now += 61
    store.deliveries.delivered(second.id)
    assert first.id not in {
        each.id for each in store.deliveries.due([third.host], 10)
    }  # the fourth waits longer
    store.deliveries.delivered(all_of(store)[3].id)
    (again,) = store.deliveries.due([third.host], 10)
    assert (again.id, again.attempts, again.error) == (first.id, 1, ERROR)


def test_what_is_given_up_is_found_and_sent_again_with_its_id(store: JobStore, clock: Clock) -> None:
    run_a_job(store)
    store.deliveries.take_up([ALL])
    lost, fine, waiting = all_of(store)
    store.deliveries.postpone(lost.id, None, ERROR)
    store.deliveries.delivered(fine.id)
    assert store.deliveries.counts() == {"pending": 1, "delivered": 1, "failed": 1}
    (found,) = store.deliveries.page("failed", None, 10).deliveries
    assert (found.id, found.attempts, found.next_at, found.ended_at) == (lost.id, 1, None, NOW)
    clock.now += 5
    again = store.deliveries.send_again(lost.id)
    assert (again.id, again.status, again.attempts, again.next_at) == (lost.id, "pending", 0, NOW + 5)
    assert store.deliveries.send_again(fine.id).status == "pending"
    store.deliveries.postpone(lost.id, None, ERROR)
    store.deliveries.postpone(waiting.id, None, ERROR)
    assert store.deliveries.send_failed_again() == 2
    assert store.deliveries.send_failed_again() == 0
    for unknown in ("msg_0", "\ud800"):
        with pytest.raises(InvalidRequest) as caught:
            store.deliveries.send_again(unknown)
        assert caught.value.code == "webhook.unknown"


def test_an_attempt_that_ends_late_takes_nothing_back(store: JobStore) -> None:
    run_a_job(store)
    store.deliveries.take_up([ALL])
    first = all_of(store)[0]
    store.deliveries.delivered(first.id)
    store.deliveries.postpone(first.id, 60.0, ERROR)
    assert all_of(store)[0].status == "delivered"


def test_pages_lead_to_all_of_them(store: JobStore) -> None:
    for _ in range(3):
        run_a_job(store)
    store.deliveries.take_up([ALL])
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = store.deliveries.page("pending", cursor, 4)
        found += [each.id for each in page.deliveries]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [each.id for each in reversed(all_of(store))]
    with pytest.raises(InvalidRequest):
        store.deliveries.page(None, "x", 1)


def test_old_messages_go_once_they_have_ended_and_old_transitions_with_them(
    store: JobStore, clock: Clock
) -> None:
    run_a_job(store)
    store.deliveries.take_up([ALL])
    first, second, third = all_of(store)
    store.deliveries.delivered(first.id)
    store.deliveries.postpone(second.id, None, ERROR)
    clock.now += DAY + 1
    store.deliveries.tidy()
    assert store.outbox.after(0) == []
    assert len(all_of(store)) == 3
    clock.now += KEPT_SECONDS
    store.deliveries.tidy()
    assert [each.id for each in all_of(store)] == [third.id]


def test_more_transitions_than_are_read_at_once_are_all_read(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.jobs.deliveries.AT_ONCE", 2)
    run_a_job(store)
    assert [store.deliveries.take_up([ALL]) for _ in range(3)] == [2, 1, 0]
    assert len(all_of(store)) == 3
