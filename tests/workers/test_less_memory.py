"""i2v.workers.worker: jobs that run out of memory or have killed a worker, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import I2VError, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.jobs.model import Claim, Job
from i2v.jobs.store import JobStore
from i2v.workers.worker import Worker
from tests.clips import names, read_frames
from tests.house import endings, open_house, wait_until
from tests.rehearsal import ENGINES, stage, submit, write_model
from tests.watched_store import WatchedStore

CPU = DeviceInfo("cpu", "CPU", 2**34)
TOKENS, FRAMES, TILES = "ladder.chunk_tokens", "ladder.decode_chunk", "ladder.vae_tiling"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[WatchedStore]:
    store = WatchedStore(settings.database)
    yield store
    store.close()


def run(settings: Settings, store: JobStore, prompt: str) -> Job:
    job = submit(store, settings, prompt)
    assert Worker(settings, store, ENGINES, CPU, "worker").run_next()
    return store.get(job.id)


def rungs(notices: tuple[Notice, ...]) -> list[str]:
    """Return the codes of what was done with less memory."""
    return [notice.code for notice in notices if notice.code.startswith("ladder.")]


def result_of(job: Job) -> Result:
    assert job.status == "succeeded", job.error
    assert job.result is not None
    return job.result


@pytest.mark.parametrize(
    ("prompt", "stage"),
    [
        pytest.param("condition: memory once", "condition", marks=pytest.mark.slow),
        pytest.param("step 1: memory once", "denoise", marks=pytest.mark.slow),
        ("step 2: memory once", "denoise"),
        pytest.param("step 4: memory once", "denoise", marks=pytest.mark.slow),
        pytest.param("frame 1: memory once", "decode", marks=pytest.mark.slow),
        ("frame 3: memory once", "decode"),
    ],
)
def test_a_job_that_runs_out_of_memory_goes_on_and_every_rung_stands_in_it(
    settings: Settings, store: WatchedStore, prompt: str, stage: str
) -> None:
    job = run(settings, store, prompt)
    plain = run(settings, store, "nothing")
    assert rungs(job.notices) == rungs(result_of(job).notices) == [f"ladder.{stage}", TOKENS]
    assert job.attempt == 1
    assert job.notices[0].code == "image.animated", "what was there before is kept"
    np.testing.assert_array_equal(read_frames(Path(job.output)), read_frames(Path(plain.output)))
    assert rungs(result_of(plain).notices) == []


def test_a_rung_stands_in_the_job_while_it_runs(settings: Settings, store: WatchedStore) -> None:
    seen: list[list[str]] = []
    for step in (1, 2, 3):
        store.at["denoising", step] = lambda claim: seen.append(rungs(store.get(claim.job.id).notices))
    run(settings, store, "step 2: memory once")
    # the first one with step 1 is told before step 2 fails, the last one after the rung was told
    assert seen == [[], ["ladder.denoise", TOKENS], ["ladder.denoise", TOKENS]]


def test_a_model_that_does_not_fit_is_loaded_by_the_next_plan(
    settings: Settings, store: WatchedStore
) -> None:
    write_model(settings.models.directory.parent, load="load: memory once")
    job = run(settings, store, "step 3: memory once")
    expected = ["ladder.load", TOKENS, "ladder.denoise", FRAMES]
    assert rungs(job.notices) == rungs(result_of(job).notices) == expected


@pytest.mark.parametrize(
    "place",
    [
        "step 2",
        *(
            pytest.param(place, marks=pytest.mark.slow)
            for place in ("condition", "step 1", "frame 1", "frame 2")
        ),
    ],
)
def test_at_the_bottom_the_job_fails_and_all_that_was_tried_is_reported(
    settings: Settings, store: WatchedStore, place: str
) -> None:
    job = run(settings, store, f"{place}: memory")
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "ladder.exhausted"
    notices = rungs(job.notices)
    assert notices[1::2] == [TOKENS, FRAMES, TILES]
    assert len(set(notices[::2])) == 1
    assert names(settings.output.directory) == []
    assert result_of(run(settings, store, "nothing")), "the worker goes on"


def test_a_job_that_is_cancelled_while_it_recovers_is_cancelled(
    settings: Settings, store: WatchedStore
) -> None:
    def cancel(claim: Claim) -> None:
        store.cancel(claim.job.id)
        store.at.clear()

    # the second word of step 1 is the rung's: the failing step 2 has told nothing
    store.at["denoising", 1] = lambda claim: store.at.update({("denoising", 1): cancel})
    job = run(settings, store, "step 2: memory once; step 2: sleep 0")
    assert job.status == "cancelled"
    assert (store.progresses[-1].phase, store.progresses[-1].step) == ("denoising", 1), "it went on"
    assert rungs(job.notices) == ["ladder.denoise", TOKENS]
    assert names(settings.output.directory) == []


def test_frames_that_cannot_be_encoded_for_lack_of_memory_leave_nothing_behind(
    settings: Settings, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []

    def resize(frames: object, *size: int) -> object:
        calls.append(None)
        return frames if len(calls) < 3 else bytearray(2**60)

    monkeypatch.setattr("i2v.pipeline.delivery.resize_frames", resize)
    job = run(settings, store, "nothing")
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "encode.out_of_memory"
    assert names(settings.output.directory) == []


# --- what is told when


def test_the_rungs_of_an_earlier_attempt_are_no_news_of_the_next(
    settings: Settings, store: WatchedStore
) -> None:
    store.at["decoding", 2] = lambda claim: store.recover_interrupted()
    job = run(settings, store, "step 2: memory once")
    assert (job.status, rungs(job.notices)) == ("queued", ["ladder.denoise", TOKENS])
    assert Worker(settings, store, ENGINES, CPU, "next").run_next()
    job = store.get(job.id)
    assert rungs(job.notices) == rungs(result_of(job).notices) == []


def test_a_rung_that_the_database_refused_is_reported_with_the_next_step(
    settings: Settings, store: WatchedStore
) -> None:
    def refuse(claim: Claim) -> None:
        raise I2VError("job.internal", kind="full disk")

    store.at["denoising", 1] = lambda claim: store.at.update({("denoising", 1): refuse})
    job = run(settings, store, "step 2: memory once")
    assert rungs(job.notices) == ["ladder.denoise", TOKENS]


# --- before it is too late


def test_where_the_machine_is_short_of_memory_a_job_takes_less_at_its_next_step(
    settings: Settings, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = iter([2**33, *[2**20] * 4])  # asked again after what is merely kept was given back
    monkeypatch.setattr("i2v.pipeline.ladder.available_ram", lambda: next(available, 2**33))
    job = run(settings, store, "nothing")
    expected = ["ladder.short", TOKENS, "ladder.short", FRAMES]
    assert rungs(job.notices) == rungs(result_of(job).notices) == expected


@pytest.mark.slow
def test_a_job_of_which_a_worker_died_begins_at_the_bottom_without_other_frames(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        job = house.run("step 2: kill once")
        assert endings(job) == ["died", "succeeded"]
        assert rungs(result_of(job).notices) == rungs(job.notices) == ["ladder.after_death", TOKENS, FRAMES]
        assert rungs(result_of(house.run()).notices) == []


# --- the floor


@pytest.mark.slow
def test_a_worker_that_creeps_is_replaced_between_jobs_and_one_that_does_not_is_kept(tmp_path: Path) -> None:
    with open_house(tmp_path, worker__creep_megabytes=40) as house:
        steady = house.worker
        for _ in range(5):
            house.run("step 1: sleep 0")
        assert house.worker == steady
        assert "it ends" not in house.log
        house.run("step 1: leak 50")
        jobs = [house.submit(f"step 1: leak 1; step 2: sleep 0.0{number}") for number in range(3)]
        for job in jobs:
            assert house.finish(job).status == "succeeded"
        wait_until(lambda: "MB more than after its first job: it ends" in house.log)
        job = house.run("nothing")
        assert (job.status, job.deaths, job.attempt) == ("succeeded", 0, 1)
        assert house.worker.pid != steady.pid
