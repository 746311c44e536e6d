"""service.enhancing: a job of a finished clip is made like any other, and needs nothing of the first one."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.users import acting_as
from i2v.jobs.model import Job, Progress
from i2v.jobs.store import JobStore
from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from i2v.pipeline.enhance import read_source
from i2v.service.enhancing import enhancement_of, extension_of
from i2v.service.service import Service
from i2v.workers.attempt import Attempt
from i2v.workers.cleanup import JOB_TAG, clean_up, tag_of
from i2v.workers.worker import Worker
from tests.clips import names
from tests.rehearsal import ENGINES, picture
from tests.service.test_rights import ALICE, EYE
from tests.service.waiting import FIELDS, Waiting

CPU = DeviceInfo("cpu", "CPU", 2**34)
BETTER = {"output_fps": "24", "interpolation": "blend", "scale": 2}


@pytest.fixture
def store(service: Service) -> JobStore:
    return service._store


@pytest.fixture
def finished(service: Service, store: JobStore, settings: Settings) -> Job:
    job = service.submit(dict(FIELDS), picture(), picture_name="sea.png")
    return work(settings, store, job)


def work(settings: Settings, store: JobStore, job: Job) -> Job:
    assert Worker(settings, store, ENGINES, CPU, "worker").run_next()
    return store.get(job.id)


def test_a_better_clip_is_made_and_the_first_one_stays(
    service: Service, store: JobStore, settings: Settings, executor: Waiting, finished: Job
) -> None:
    with acting_as(ALICE):
        job = service.enhance(finished.id, dict(BETTER))
    assert (job.status, job.user, job.picture_name, executor.woken) == ("queued", "alice", "sea.png", 2)
    assert job.request["source_job"] == finished.id
    assert (job.pictures, job.track) == (finished.pictures, None)
    assert enhancement_of(job) == {"output_fps": 24, "interpolation": "blend", "scale": 2}
    assert service.thumbnail(job.id) == service.thumbnail(finished.id)
    service.delete(finished.id)  # nothing is needed of it any more
    done = work(settings, store, job)
    assert done.status == "succeeded", done.error
    info, tags = probe(Path(done.output)), read_tags(Path(done.output))
    assert (info.width, info.height, info.fps, info.num_frames) == (128, 128, 24, 12)
    assert tags[JOB_TAG] == tag_of(done)
    assert done.result is not None
    assert done.result.to_dict()["video_frames"] == 12
    assert Provenance.from_tags(tags, Path(done.output)).generation["source"] == done.result.generation.source
    assert [name for name in names(settings.inputs) if name.endswith(".clip")] == [done.other_inputs[0]]
    service.delete(done.id)
    assert names(settings.inputs) == []


def test_a_worker_that_dies_over_it_takes_nothing_away(
    service: Service, store: JobStore, settings: Settings, finished: Job
) -> None:
    job = service.enhance(finished.id, dict(BETTER))
    claim = store.claim("dead")
    assert claim is not None
    store.heartbeat(claim, Progress("interpolating", 0.5, 2, 4))
    for each in store.recover("dead"):
        clean_up(each, settings.unpublished)
    done = work(settings, store, job)
    assert (done.status, done.attempt) == ("succeeded", 2)


def test_it_is_cancelled_between_two_frames(
    service: Service, store: JobStore, settings: Settings, finished: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, said = service.enhance(finished.id, dict(BETTER)), list[Progress]()
    say = Attempt._say

    def listen(self: Attempt, progress: Progress) -> None:
        said.append(progress)
        if progress.step == 2:
            service.cancel(job.id)
        say(self, progress)

    monkeypatch.setattr(Attempt, "_say", listen)
    assert work(settings, store, job).status == "cancelled"
    assert [each.phase for each in said] == ["loading", "interpolating", "interpolating"]
    assert [each.fraction for each in said] == sorted(each.fraction for each in said)
    assert names(Path(job.output).parent) == [Path(finished.output).name]


def test_a_longer_clip_is_made_also_where_the_first_attempt_fails(
    service: Service, store: JobStore, settings: Settings, executor: Waiting, finished: Job
) -> None:
    job = service.extend(finished.id, {"seconds": "0.75", "prompt": "step 3: fail once", "seed": 3})
    assert (job.request["source_job"], job.request["seconds"], executor.woken) == (finished.id, 0.75, 2)
    assert extension_of(job) == {"seconds": 0.75, "prompt": "step 3: fail once", "correct_drift": True}
    assert job.plan is not None
    assert "seed" not in extension_of(job)
    service.delete(finished.id)
    failed = work(settings, store, job)
    assert failed.status == "failed"
    service.retry(job.id)
    done = work(settings, store, job)
    assert done.status == "succeeded", done.error
    info, made = probe(Path(done.output)), read_source(Path(done.output))
    assert (info.num_frames, info.fps) == (10, 8)
    assert (made.generation.extends, made.generation.seed, len(made.provenance.extended)) == (4, 3, 1)
    assert done.result is not None
    assert done.result.held_frames == 0
    larger = work(settings, store, service.enhance(done.id, {"scale": 2}))
    assert larger.status == "succeeded", larger.error
    assert read_source(Path(larger.output)).generation.extends == 0


def test_a_source_that_is_lost_is_told(
    service: Service, store: JobStore, settings: Settings, finished: Job
) -> None:
    job = service.enhance(finished.id, dict(BETTER))
    (settings.inputs / job.other_inputs[0]).unlink()
    failed = work(settings, store, job)
    assert failed.error is not None
    assert failed.error["code"] == "job.source_lost"


def test_what_cannot_be_enhanced_is_refused_and_leaves_nothing(
    service: Service, settings: Settings, finished: Job
) -> None:
    before = names(settings.inputs)
    waiting = service.submit(dict(FIELDS), picture())
    for job, fields, code in (
        ("0" * 32, BETTER, "job.unknown"),
        (waiting.id, BETTER, "job.no_video"),
        (finished.id, {}, "request.nothing_to_enhance"),
        (finished.id, {"output_fps": 4}, "request.invalid"),
        (finished.id, {"seed": 4}, "request.unknown_field"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            service.enhance(job, dict(fields))
        assert caught.value.code == code
    with acting_as(EYE), pytest.raises(InvalidRequest) as caught:
        service.enhance(finished.id, dict(BETTER))
    assert caught.value.code == "security.role"
    with acting_as(EYE), pytest.raises(InvalidRequest) as caught:
        service.extend(finished.id, {"seconds": 1})
    assert caught.value.code == "security.role"
    with pytest.raises(InvalidRequest) as caught:
        service.extend(finished.id, {"seconds": 1, "loop": True})
    assert caught.value.code == "request.unknown_field"
    Path(finished.output).write_bytes(b"cut")
    with pytest.raises(InvalidRequest) as caught:
        service.enhance(finished.id, dict(BETTER))
    assert caught.value.code == "job.video_broken"
    assert names(settings.inputs) == before
