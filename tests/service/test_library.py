"""i2v.service.library: what is deleted can be restored for a while, and files follow their jobs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.host.embedding_cache import EmbeddingCache
from i2v.jobs.model import Filters, Job
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.job_crew import result_of
from tests.rehearsal import ENGINES, picture, stage, submit
from tests.service.waiting import FIELDS, Waiting


def made(working: Service) -> Job:
    job = working.get(working.submit(FIELDS, picture()).id)
    assert job.status == "succeeded", job.error
    return job


def test_a_trashed_clip_is_hidden_and_comes_back_whole(working: Service, settings: Settings) -> None:
    job = made(working)
    video = Path(job.output)
    content = video.read_bytes()
    deleted = working.library.trash(job.id)
    assert deleted.video == "removed"
    assert deleted.job.deleted_at is not None
    assert deleted.kept_until == deleted.job.deleted_at + 3 * 86400
    assert not video.exists()
    assert [path for path in video.parent.iterdir() if not path.name.startswith(".")] == []
    assert working.page().jobs == ()
    assert [each.id for each in working.page(filters=Filters(deleted=True)).jobs] == [job.id]
    for call in (working.get, working.video, working.library.trash):
        with pytest.raises(InvalidRequest, match="no job"):
            call(job.id)
    assert working.library.restore(job.id).status == "succeeded"
    assert working.video(job.id).read_bytes() == content
    assert working.thumbnail(job.id)
    assert working.library.restore(job.id).id == job.id, "it is there already"


def test_the_trash_outlives_a_restart_and_keeps_the_picture(working: Service, settings: Settings) -> None:
    job = made(working)
    working.library.trash(job.id)
    working.stop()
    store = JobStore(settings.database)
    again = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    again.start()
    again.library.restore(job.id)
    assert again.picture(again.get(job.id)) is not None
    assert again.video(job.id) == Path(job.output)
    again.stop()


def test_deleting_for_good_takes_a_trashed_clip_too(working: Service, settings: Settings) -> None:
    job = made(working)
    working.library.trash(job.id)
    assert working.delete(job.id).video == "removed"
    assert list(Path(job.output).parent.iterdir()) == []
    assert list(settings.inputs.iterdir()) == []
    with pytest.raises(InvalidRequest, match="no job"):
        working.library.restore(job.id)


def test_nothing_of_its_prompts_is_kept_of_a_clip_that_is_deleted_for_good(
    working: Service, settings: Settings
) -> None:
    story = [{"prompt": "first", "seconds": 1}, {"prompt": "then", "seconds": 1}]
    job = working.get(working.submit({**FIELDS, "story": story}, picture()).id)
    cache = EmbeddingCache.of(settings)
    assert job.generation is not None
    prompts = (job.generation.prompt, "first", "then")
    for text in (*prompts, "another"):
        cache.write(text, {}, b"states")
    working.library.trash(job.id)
    assert all(cache.read(text, {}) for text in prompts)
    working.delete(job.id)
    assert not any(cache.read(text, {}) for text in prompts)
    assert cache.read("another", {}) is not None


def test_a_name_that_was_taken_meanwhile_keeps_the_clip_in_the_trash(working: Service) -> None:
    job = made(working)
    working.library.trash(job.id)
    video = Path(job.output)
    video.write_text("somebody else's")
    with pytest.raises(InvalidRequest) as caught:
        working.library.restore(job.id)
    assert caught.value.code == "job.name_taken"
    assert video.read_text() == "somebody else's"
    video.unlink()
    working.library.restore(job.id)
    assert working.video(job.id) == video


def test_a_file_of_somebody_else_is_left_where_it_is(working: Service) -> None:
    job = made(working)
    video = Path(job.output)
    video.write_text("precious")
    assert working.library.trash(job.id).video == "kept"
    assert working.delete(job.id).video == "kept"
    assert video.read_text() == "precious"


def test_a_clip_that_cannot_be_hidden_stays(working: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = made(working)

    def refuse(path: Path, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(I2VError) as caught:
            working.library.trash(job.id)
    assert caught.value.code == "job.not_removed"
    assert working.video(job.id) == Path(job.output)


def test_a_trash_that_was_cut_off_can_be_restored_and_deleted(working: Service, settings: Settings) -> None:
    """The job is in the trash, and its video is not yet."""
    first, second = made(working), made(working)
    with closing(JobStore(settings.database, create=False)) as store:
        for job in (first, second):
            store.library.trash(job.id)
    working.library.restore(first.id)
    assert working.video(first.id) == Path(first.output)
    assert working.delete(second.id).video == "removed"
    assert not Path(second.output).exists()


def test_without_a_trash_it_is_deleted_at_once(tmp_path: Path) -> None:
    settings = stage(tmp_path, storage__trash_days=0)
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    job = made(service)
    deleted = service.library.trash(job.id)
    assert (deleted.video, deleted.kept_until) == ("removed", None)
    assert service.page(filters=Filters(deleted=True)).jobs == ()
    service.stop()


def test_what_runs_or_waits_cannot_be_trashed(service: Service) -> None:
    job = service.submit(FIELDS, picture())
    with pytest.raises(InvalidRequest) as caught:
        service.library.trash(job.id)
    assert caught.value.code == "job.not_finished"


def test_several_are_trashed_at_once_but_those_that_cannot_be(service: Service) -> None:
    ended, waiting = (service.submit(FIELDS, picture()) for _ in range(2))
    service.cancel(ended.id)
    done = service.library.trash_each([ended.id, waiting.id, "0" * 32, ended.id])
    assert [each.job.id for each in done] == [ended.id]


def test_all_that_came_to_nothing_is_put_into_the_trash_at_once(
    settings: Settings, executor: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.service.library.DELETED_AT_ONCE", 2)
    store = JobStore(settings.database)
    service = Service(settings, store, executor, ENGINES)
    done, *failed = (submit(store, settings) for _ in range(4))
    for job in (done, *failed):
        claim = store.claim("somebody")
        assert claim is not None
        if job is done:
            store.finish(claim, result_of(claim.job.id))
        else:
            store.fail(claim, {"code": "x", "params": {}, "message": ""})
    waiting, cancelled = (submit(store, settings) for _ in range(2))
    service.cancel(cancelled.id)
    assert len(service.library.trash_unsuccessful()) == 4
    assert [job.id for job in service.page().jobs] == [waiting.id, done.id]
    assert service.library.trash_unsuccessful() == []
    service.stop()
