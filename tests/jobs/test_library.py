"""i2v.jobs.library: what is looked for is found, a star stays, and what is in the trash is nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.jobs.model import Filters, Job
from i2v.jobs.store import JobStore
from tests.job_crew import generation, ram_folder, result_of, submission


@pytest.fixture
def path() -> Iterator[Path]:
    with ram_folder() as folder:
        yield folder / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[JobStore]:
    """A store whose clock goes on by a second each time that it is read."""
    with closing(JobStore(path, clock=itertools.count(1000.0).__next__)) as store:
        yield store


def ended(store: JobStore, prompt: str = "waves", engine: str = "tiny") -> Job:
    new = replace(submission(prompt=prompt), generation=replace(generation(prompt), engine=engine))
    store.submit(new)
    claim = store.claim("owner")
    assert claim is not None
    return store.finish(claim, result_of(new.id))


def found(store: JobStore, **filters: object) -> list[str]:
    return [job.id for job in store.page(filters=Filters(**filters)).jobs]  # type: ignore[arg-type]


def test_a_star_is_given_and_taken_whatever_the_job_does(store: JobStore) -> None:
    job = store.submit(submission())
    assert not job.starred
    starred = store.library.star(job.id, True)
    assert (starred.starred, starred.revision) == (True, store.revision())
    store.library.star(job.id, True)
    assert store.revision() == starred.revision, "it was so already"
    claim = store.claim("owner")
    assert claim is not None
    assert store.finish(claim, result_of(job.id)).starred
    assert not store.library.star(job.id, False).starred
    with pytest.raises(InvalidRequest, match="no job"):
        store.library.star("0" * 32, True)


def test_a_page_has_what_its_filters_leave(store: JobStore) -> None:
    first, second, third = (ended(store, engine=engine) for engine in ("tiny", "large", "tiny"))
    store.library.star(second.id, True)
    assert found(store, starred=True) == [second.id]
    assert found(store, engine="tiny") == [third.id, first.id]
    assert found(store, engine="none") == []
    assert found(store, since=second.created_at) == [third.id, second.id]
    assert found(store, until=second.created_at) == [second.id, first.id]
    assert found(store, engine="tiny", since=second.created_at) == [third.id]
    with pytest.raises(InvalidRequest, match="engine"):
        found(store, engine="\ud800")


def test_tags_are_given_counted_looked_for_and_taken(store: JobStore) -> None:
    first, second = ended(store), ended(store)
    assert store.library.tag(first.id, ["  Night  shot ", "Été", "cat"]).tags == ("cat", "night shot", "été")
    store.library.tag(second.id, ["CAT"])
    assert store.library.tags() == {"cat": 2, "night shot": 1, "été": 1}
    assert found(store, tag="Cat") == [second.id, first.id]
    assert found(store, tag="E\u0301te\u0301") == [first.id]
    assert found(store, tag="ca") == []
    before = store.revision()
    store.library.tag(second.id, ["cat"], ["dog"])
    assert store.revision() == before
    store.library.tag(second.id, remove=["cat"])
    store.library.trash(first.id)
    assert store.library.tags() == {}


@pytest.mark.parametrize("tag", ["", " ", "a,b", "x" * 41, "a\0b", "\ud800", "a\u200bb"])
def test_what_is_no_tag_is_refused(store: JobStore, tag: str) -> None:
    with pytest.raises(InvalidRequest, match="tags"):
        store.library.tag(ended(store).id, [tag])


def test_a_job_has_only_so_many_tags(store: JobStore) -> None:
    job = ended(store)
    store.library.tag(job.id, map(str, range(20)))
    with pytest.raises(InvalidRequest, match="at most 20"):
        store.library.tag(job.id, ["one more"])


@pytest.mark.parametrize("order", ["newest", "oldest", "starred"])
def test_pages_of_every_order_join_without_a_gap(store: JobStore, order: str) -> None:
    jobs = [ended(store) for _ in range(7)]
    for job in jobs[1::3]:
        store.library.star(job.id, True)
    ids = [job.id for job in jobs]
    expected = {"newest": ids[::-1], "oldest": ids, "starred": [ids[i] for i in (4, 1, 6, 5, 3, 2, 0)]}
    filters = Filters(order=order)  # type: ignore[arg-type]
    reported: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = store.page(cursor=cursor, limit=3, filters=filters)
        reported += [job.id for job in page.jobs]
        cursor = page.next_cursor
    assert (reported, cursor) == (expected[order], None)


@pytest.mark.parametrize(("order", "cursor"), [("newest", "1-5"), ("starred", "5"), ("starred", "2-5")])
def test_a_cursor_of_another_order_is_refused(store: JobStore, order: str, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="next_cursor"):
        store.page(cursor=cursor, filters=Filters(order=order))  # type: ignore[arg-type]


def test_what_is_in_the_trash_is_nowhere_else_until_it_is_restored(store: JobStore) -> None:
    job, other = ended(store), ended(store)
    before = store.revision()
    trashed = store.library.trash(job.id)
    assert trashed.deleted_at is not None
    assert store.revision() == before + 1
    assert found(store) == [other.id]
    assert found(store, deleted=True) == [job.id]
    assert [each.id for each in store.after(None, 10)] == [other.id]
    assert store.counts()["succeeded"] == 1
    assert store.library.trashed(job.id) == trashed
    assert {each.id: each.deleted_at for each in store.owned()}[job.id] == trashed.deleted_at
    assert store.has_input(job.input)
    calls: list[Callable[[str], object]] = [
        store.get,
        store.library.trash,
        store.retry,
        store.cancel,
        lambda name: store.library.star(name, True),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match="no job"):
            call(job.id)
    restored = store.library.restore(job.id)
    assert restored == replace(job, revision=restored.revision)
    assert store.library.restore(job.id) == restored, "it was restored already"
    assert found(store) == [other.id, job.id]


def test_a_trashed_job_can_be_deleted_and_its_key_used_again(store: JobStore) -> None:
    first = store.submit(submission(key="key"))
    store.cancel(first.id)
    store.library.trash(first.id)
    again = store.submit(submission(key="key"))
    assert again.id != first.id
    assert store.delete(first.id).id == first.id
    assert found(store, deleted=True) == []
    with pytest.raises(InvalidRequest, match="no job"):
        store.library.restore(first.id)
