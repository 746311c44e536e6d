"""i2v.service.queue: a paused queue waits, also over a restart, and says so."""

from __future__ import annotations

from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.rehearsal import ENGINES, picture
from tests.service.waiting import FIELDS, Waiting


def test_a_paused_queue_waits_over_a_restart_until_it_is_told_to_go_on(
    working: Service, settings: Settings
) -> None:
    working.queue.pause()
    job = working.submit(FIELDS, picture())
    working.stop()
    store = JobStore(settings.database)
    again = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    again.start()
    assert again.queue.is_paused()
    assert again.get(job.id).status == "queued"
    again.queue.resume()
    assert again.get(job.id).status == "succeeded"
    again.stop()


def test_nobody_knows_when_a_job_of_a_paused_queue_starts(service: Service, executor: Waiting) -> None:
    job = service.submit(FIELDS, picture())
    assert service.expected_start(job) == 0
    service.queue.pause()
    assert service.expected_start(job) is None
    before = executor.woken
    service.queue.resume()
    assert executor.woken == before + 1
    assert service.expected_start(job) == 0


def test_a_job_is_moved_by_places(service: Service) -> None:
    first, second, third = (service.submit(FIELDS, picture()).id for _ in range(3))

    def order() -> list[str]:
        return [each.job.id for each in service.unfinished()]

    service.queue.move_by(third, -1)
    assert order() == [first, third, second]
    service.queue.move_by(first, 1)
    assert order() == [third, first, second]
    service.queue.move_by(third, -1)
    assert order() == [third, first, second]
    service.queue.move(second, 0)
    assert order() == [second, third, first]


def test_all_that_waits_can_be_cancelled_at_once(service: Service) -> None:
    jobs = [service.submit(FIELDS, picture()) for _ in range(3)]
    assert service.queue.cancel_all() == 3
    assert {service.get(job.id).status for job in jobs} == {"cancelled"}
    assert service.queue.cancel_all() == 0
