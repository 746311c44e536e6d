"""service.rights: what each role may do, whoever asks, and whose things are whose."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from i2v.core.errors import InvalidRequest, QueueFull
from i2v.core.settings import Settings
from i2v.core.users import Role, User, acting_as
from i2v.jobs.model import Filters, Place
from i2v.jobs.store import JobStore
from i2v.service.batches import Picture
from i2v.service.service import Service
from tests.rehearsal import ENGINES, picture
from tests.service.waiting import FIELDS, Waiting
from tests.web.house import wait_for


def user(name: str, role: Role = "make", **quota: int) -> User:
    return User(name=name, role=role, token=SecretStr(f"the-token-of-{name:-<16}"), **quota)


ALICE, BOB, EYE, CHIEF = user("alice"), user("bob"), user("eye", "view"), user("chief", "administer")


def submit(service: Service, whose: User | None, key: str | None = None) -> str:
    with acting_as(whose):
        return service.submit(dict(FIELDS), picture(), key).id


DEEDS: dict[str, Callable[[Service, str], object]] = {
    "cancel": lambda service, job: service.cancel(job),
    "retry": lambda service, job: service.retry(job),
    "delete": lambda service, job: service.delete(job),
    "trash": lambda service, job: service.library.trash(job),
    "restore": lambda service, job: service.library.restore(job),
    "tag": lambda service, job: service.library.tag(job, ["sea"]),
    "star": lambda service, job: service.library.star(job, True),
    "own": lambda service, job: service.own(job),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_job_is_changed_by_its_owner_and_by_who_administers(service: Service, deed: str) -> None:
    jobs = {"alice": submit(service, ALICE), "nobody": submit(service, None)}
    for job in jobs.values():
        if deed in ("retry", "delete", "trash", "restore"):
            service.cancel(job)
    for whose, refused in ((BOB, "security.not_owner"), (EYE, "security.role")):
        for job in jobs.values():
            with acting_as(whose), pytest.raises(InvalidRequest) as caught:
                DEEDS[deed](service, job)
            assert caught.value.code == refused
    with acting_as(ALICE):
        DEEDS[deed](service, jobs["alice"])
        with pytest.raises(InvalidRequest, match="may change only"):
            DEEDS[deed](service, jobs["nobody"])
    with acting_as(CHIEF):
        DEEDS[deed](service, jobs["nobody"])


@pytest.mark.parametrize(
    "deed",
    [
        lambda service: service.queue.pause(),
        lambda service: service.queue.resume(),
        lambda service: service.queue.move("0" * 32, 0),
        lambda service: service.models.download("i2vgen-xl"),
        lambda service: service.models.verify("i2vgen-xl"),
        lambda service: service.models.cancel("i2vgen-xl"),
        lambda service: service.models.add("i2vgen-xl", "/"),
        lambda service: service.models.remove("i2vgen-xl"),
        lambda service: service.webhooks.redeliver_failed(),
    ],
)
def test_the_house_itself_is_for_who_administers(service: Service, deed: Callable[[Service], object]) -> None:
    for whose in (EYE, ALICE):
        with acting_as(whose), pytest.raises(InvalidRequest) as caught:
            deed(service)
        assert (caught.value.code, caught.value.params["needed"]) == ("security.role", "administer")


def test_who_only_looks_makes_nothing_and_sees_everything(service: Service) -> None:
    job = submit(service, ALICE)
    batch = service.batches.create("a")
    with acting_as(EYE):
        for call in (
            lambda: submit(service, EYE),
            lambda: service.batches.create("b"),
            lambda: service.batches.add(batch.id, []),
            lambda: service.queue.cancel_all(),
            lambda: service.library.trash_unsuccessful(),
        ):
            with pytest.raises(InvalidRequest) as caught:
                call()
            assert caught.value.code == "security.role"
        assert service.get(job).user == "alice"
        assert service.plan(dict(FIELDS)).fits is not False
        assert [each.job.id for each in service.unfinished()] == [job]


def test_what_is_done_with_all_is_done_with_own_ones(service: Service) -> None:
    mine, other = submit(service, ALICE), submit(service, BOB)
    with acting_as(ALICE):
        assert service.queue.cancel_all() == 1
    assert (service.get(mine).status, service.get(other).status) == ("cancelled", "queued")
    service.cancel(other)
    with acting_as(ALICE):
        assert [each.job.id for each in service.library.trash_unsuccessful()] == [mine]
        assert service.library.trash_each([other]) == []
    assert service.page(filters=Filters(user="bob")).jobs[0].id == other
    assert service.page(filters=Filters(user="alice")).jobs == ()  # it is in the trash


def test_a_key_is_its_users_own(service: Service) -> None:
    first = submit(service, ALICE, "key")
    assert submit(service, ALICE, "key") == first
    assert len({first, submit(service, BOB, "key"), submit(service, None, "key")}) == 3
    with acting_as(ALICE):
        batch = service.batches.create("mine", key="key")
        assert service.batches.create("mine", key="key").id == batch.id
    with acting_as(BOB):
        assert service.batches.create("another", key="key").user == "bob"


def test_who_has_enough_is_told_when_to_come_back(settings: Settings) -> None:
    now = [time.time()]
    store = JobStore(settings.database, clock=lambda: now[0])
    service = Service(settings, store, Waiting(), ENGINES)
    service.start()
    try:
        greedy = user("greedy", max_queued=2, max_per_day=3)
        first, second = submit(service, greedy), submit(service, greedy)
        with pytest.raises(QueueFull) as caught:
            submit(service, greedy)
        assert caught.value.code == "security.too_many_waiting"
        submit(service, ALICE)  # others are not kept waiting
        now[0] += 3600
        service.cancel(first)
        service.delete(first)  # what was deleted was asked for all the same
        third = submit(service, greedy)
        service.cancel(second)
        with pytest.raises(QueueFull) as caught:
            submit(service, greedy)
        assert caught.value.code == "security.too_many_today"
        assert 82_000 < float(str(caught.value.params["seconds"])) <= 82_800
        with acting_as(greedy):
            service.retry(second)
            service.cancel(third)
            service.retry(third)
        other = user("other", "administer", max_queued=1)
        service.cancel(third)
        with acting_as(other):
            service.retry(third)  # whose quota is not what this one may have
        now[0] += 82_801
        service.cancel(third)
        submit(service, greedy)
    finally:
        service.stop()


def test_no_picture_is_decoded_for_who_has_enough(service: Service) -> None:
    """A batch whose owner has had all jobs of a day is tried every two seconds, perhaps for hours."""
    greedy = user("greedy", max_per_day=1)
    first = submit(service, greedy, "key")
    with acting_as(greedy), pytest.raises(QueueFull):
        service.submit(dict(FIELDS), b"no picture")
    assert submit(service, greedy, "key") == first


def test_a_batch_is_its_owners_and_does_not_hold_up_others(settings: Settings) -> None:
    greedy = user("greedy", max_queued=1)
    security = settings.security.model_copy(update={"users": (greedy, BOB)})
    settings = settings.model_copy(update={"security": security})
    service = Service(settings, JobStore(settings.database), Waiting(), ENGINES)
    service.start()
    try:
        batches = {}
        for whose in (greedy, BOB, user("gone")):
            with acting_as(whose):
                batch = service.batches.create("", dict(FIELDS)).id
                service.batches.add(batch, [Picture(f"{n}.png", picture(), {}) for n in range(2)])
                batches[whose.name] = batch
        wait_for(lambda: service.batches.get(batches["gone"]).counts["queued"] == 2)
        assert service.batches.get(batches["bob"]).counts["queued"] == 2
        counts = service.batches.get(batches["greedy"]).counts
        assert (counts["queued"], counts["waiting"]) == (1, 1)
        assert {job.user for job in service.page().jobs} == {"greedy", "bob", "gone"}
        with acting_as(BOB):
            for deed in (
                service.batches.cancel, service.batches.retry, service.batches.delete, service.batches.own,
            ):  # fmt: skip
                with pytest.raises(InvalidRequest, match="may change only"):
                    deed(batches["greedy"])
        service.cancel(service.page(filters=Filters(user="greedy")).jobs[0].id)
        wait_for(lambda: not service.batches.get(batches["greedy"]).counts["waiting"])
    finally:
        service.stop()


def test_a_batch_with_somebody_elses_job_is_not_deleted_in_part(service: Service) -> None:
    with acting_as(BOB):
        batch = service.batches.create().id
        own = service.submit(dict(FIELDS), picture(), place=Place(batch, "a.png")).id
    with acting_as(CHIEF):
        other = service.submit(dict(FIELDS), picture(), place=Place(batch, "b.png")).id
    for job in (own, other):
        service.cancel(job)
    with acting_as(BOB), pytest.raises(InvalidRequest, match="may change only"):
        service.batches.delete(batch, clips=True)
    assert service.get(own).status == "cancelled"
