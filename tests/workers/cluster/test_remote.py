"""workers.cluster.remote and .actor: a clip made elsewhere is the job's own, once, or nobody's."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
from pydantic import SecretStr

from i2v.media.unpublished import find_kept
from i2v.media.video import probe, read_tags
from i2v.service.service import Service
from i2v.workers.cleanup import JOB_TAG, tag_of
from i2v.workers.cluster.wire import FileFacts, Shared
from i2v.workers.maker import GivenBack
from i2v.workers.worker import Worker
from tests.clips import read_frames
from tests.rehearsal import ENGINES, picture, submit
from tests.service.waiting import FIELDS, Waiting
from tests.sounds import sound_file
from tests.workers.cluster.conftest import Lab


def test_the_video_is_the_one_that_this_process_would_have_made(lab: Lab) -> None:
    job = lab.run()
    assert (job.status, job.device) == ("succeeded", "studio/cpu")
    assert read_tags(Path(job.output))[JOB_TAG] == tag_of(job)
    local = submit(lab.store, lab.settings)
    assert Worker(lab.settings, lab.store, ENGINES, lab.device, "local").run_next()
    assert (read_frames(Path(job.output)) == read_frames(Path(local.output))).all()
    mine, theirs = lab.store.get(local.id).result, job.result
    assert mine is not None
    assert theirs is not None
    assert theirs.path == Path(job.output)
    assert theirs.to_dict().keys() == mine.to_dict().keys()
    assert {progress.phase for progress in lab.store.progresses} >= {"loading", "denoising", "encoding"}


def test_nothing_is_left_on_the_machine(lab: Lab, tmp_path: Path) -> None:
    lab.run()
    (folder,) = tmp_path.glob("i2v-actor-*")
    assert list(folder.iterdir()) == []


def test_what_opens_something_stays_with_the_service(lab: Lab) -> None:
    """Neither the id of the job, which opens it, nor a token or path of the server is in what is sent."""
    token = "a-token-of-the-server"
    security = lab.settings.security.model_copy(update={"token": SecretStr(token)})
    settings = lab.settings.model_copy(update={"security": security})
    job = lab.run()
    sent = pickle.dumps((lab.handle.orders, Shared.of(settings)))
    for secret in (job.id, token, str(settings.inputs)):
        assert secret.encode() not in sent


@pytest.mark.parametrize("messages", [0, 3])
def test_a_stream_that_ends_without_a_word_is_a_lost_worker(lab: Lab, messages: int) -> None:
    """As Ray does without an exception where the node of the driver was removed."""
    lab.handle.cut = messages
    job = lab.lose()
    assert job.status == "running", "whoever sees to the actor gives it back"
    assert lab.videos == []
    lab.store.recover("owner")
    lab.handle.cut = None
    assert lab.worker("next").run_next()
    again = lab.store.get(job.id)
    assert [attempt.ending for attempt in again.history] == ["died", "succeeded"]
    assert lab.videos == [Path(job.output).name]


def test_a_video_that_arrives_as_another_one_is_not_published(lab: Lab) -> None:
    lab.handle.damaged = True
    lab.lose()
    assert lab.videos == []


def test_a_cancel_stops_the_actor(lab: Lab) -> None:
    lab.store.at["denoising", 1] = lambda claim: lab.store.cancel(claim.job.id)
    job = lab.run("step 2: sleep 0.05")
    assert job.status == "cancelled"
    assert lab.maker.rest(), "it can make another clip"
    assert lab.run().status == "succeeded"


def test_an_attempt_that_has_lost_its_job_publishes_nothing(lab: Lab) -> None:
    lab.store.at["encoding", None] = lambda claim: lab.store.recover("owner")
    job = lab.run()
    assert job.status == "queued"
    assert lab.videos == []


def test_a_service_that_ends_gives_the_job_back(lab: Lab) -> None:
    def end(claim: object) -> None:
        lab.is_stopping = True

    lab.store.at["denoising", 1] = end
    lab.submit()
    with pytest.raises(GivenBack):
        lab.worker().run_next()
    assert lab.videos == []


def test_what_the_engine_fails_of_is_the_jobs_error(lab: Lab) -> None:
    job = lab.run("step 2: fail")
    assert job.error is not None
    assert (job.status, job.error["code"]) == ("failed", "job.internal")
    assert not lab.maker.rest(), "its device cannot be trusted"


def test_frames_whose_end_failed_there_are_kept_here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("rehearsed")

    with monkeypatch.context() as patch:
        patch.setattr("i2v.pipeline.delivery.resize_frames", broken)
        job = lab.run()
    assert job.error is not None
    assert job.status == "failed"
    assert job.error["then"], "it says that a retry publishes them"
    assert find_kept(lab.settings.unpublished, job.id) is not None
    lab.store.retry(job.id)
    orders = len(lab.handle.orders)
    assert lab.worker().run_next()
    assert lab.store.get(job.id).status == "succeeded"
    assert probe(Path(job.output)).num_frames == 4
    assert len(lab.handle.orders) == orders, "nothing was computed again"


def test_a_picture_that_is_gone_is_said(lab: Lab) -> None:
    job = lab.submit()
    (lab.settings.inputs / job.input).unlink()
    assert lab.worker().run_next()
    error = lab.store.get(job.id).error
    assert error is not None
    assert error["code"] == "job.picture_lost"


# --- jobs with more than a picture


@pytest.fixture
def service(lab: Lab) -> Service:
    """A service that accepts jobs, and runs none; it need not be started for that."""
    return Service(lab.settings, lab.store, Waiting(), ENGINES)


@pytest.mark.slow
def test_a_sound_goes_with_the_job(lab: Lab, service: Service) -> None:
    asked = FIELDS | {"num_frames": 8, "sound": {"start": 0.5}}
    job = service.submit(asked, picture(), others=[sound_file()])
    assert lab.worker().run_next()
    job = lab.store.get(job.id)
    assert job.error is None
    info = probe(Path(job.output))
    assert info.sound is not None
    assert info.sound.duration == pytest.approx(1.0, abs=0.1)
    assert "sound_sha256" in read_tags(info.path)["i2v"]
    assert lab.left_there == []


@pytest.mark.slow
def test_a_finished_clip_is_enhanced_there(lab: Lab, service: Service) -> None:
    first = service.submit(dict(FIELDS), picture())
    assert lab.worker().run_next()
    job = service.enhance(first.id, {"scale": 2, "output_fps": 16, "interpolation": "blend"})
    assert lab.worker().run_next()
    job = lab.store.get(job.id)
    assert job.error is None
    old, new = probe(Path(lab.store.get(first.id).output)), probe(Path(job.output))
    assert (new.width, new.fps) == (2 * old.width, 16)
    assert read_tags(new.path)[JOB_TAG] == tag_of(job)
    assert lab.left_there == []


@pytest.mark.slow
def test_the_segments_of_a_story_go_with_the_attempt(lab: Lab) -> None:
    scenes = [{"seconds": 1}, {"seconds": 1, "prompt": "step 2: refuse once"}]
    job = submit(lab.store, lab.settings, story=scenes)
    assert lab.worker().run_next()
    error = lab.store.get(job.id).error
    assert error is not None
    assert error["code"] == "weights.missing_file"
    assert "then" not in error, "nothing is kept, and nothing is said to be"
    assert lab.left_there == []
    lab.store.retry(job.id)
    assert lab.worker().run_next()
    assert lab.store.get(job.id).error is None
    assert probe(Path(job.output)).num_frames == 16
    assert lab.left_there == []


@pytest.mark.parametrize("what", ["sound", "source"])
def test_which_file_is_gone_is_said(lab: Lab, service: Service, what: str) -> None:
    if what == "sound":
        asked = FIELDS | {"num_frames": 8, "sound": {}}
        job = service.submit(asked, picture(), others=[sound_file()])
    else:
        first = service.submit(dict(FIELDS), picture())
        assert lab.worker().run_next()
        job = service.enhance(first.id, {"scale": 2})
    (lab.settings.inputs / job.inputs[-1]).unlink()
    assert lab.worker().run_next()
    error = lab.store.get(job.id).error
    assert error is not None
    assert error["code"] == f"job.{what}_lost"


@pytest.mark.slow
def test_a_job_that_was_stopped_may_come_again(lab: Lab) -> None:
    lab.store.at["denoising", 1] = lambda claim: lab.store.cancel(claim.job.id)
    job = lab.run("step 2: sleep 0.05")
    assert job.status == "cancelled"
    lab.store.retry(job.id)
    assert lab.worker().run_next()
    assert lab.store.get(job.id).status == "succeeded"


def test_a_full_disk_leaves_no_pictures_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(kind: str, path: Path) -> FileFacts:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("i2v.workers.cluster.actor.FileFacts.of", full)
    job = lab.run()
    assert job.error is not None
    assert job.status == "failed"
    lab.handle.forget()
    assert lab.left_there == []
