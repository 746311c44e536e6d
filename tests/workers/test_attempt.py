"""i2v.workers.attempt: work that is done is not done again because only its end failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.model import Claim, Job
from i2v.jobs.store import JobStore
from i2v.media.video import read_tags
from i2v.service.service import Service
from i2v.web.texts import translate
from i2v.workers.cleanup import JOB_TAG, clean_up
from i2v.workers.executors.inline import InlineExecutor
from i2v.workers.worker import Worker
from tests.clips import names, read_frames
from tests.disks import fill, small_disk
from tests.rehearsal import ENGINES, stage, submit, write_model
from tests.watched_store import WatchedStore

CPU = DeviceInfo("cpu", "CPU", 2**34)
AT_THE_END = ("decoding", 3)  # of four frames: ffmpeg writes since the first


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def store(settings: Settings) -> WatchedStore:
    return WatchedStore(settings.database)


def run(settings: Settings, store: JobStore, job: Job) -> Job:
    assert Worker(settings, store, ENGINES, CPU, "worker").run_next()
    return store.get(job.id)


def retry(settings: Settings, store: JobStore, job: Job) -> Job:
    """Run the job again where no engine can be loaded: whoever computes fails."""
    write_model(settings.models.directory.parent, load="load: fail")
    store.retry(job.id)
    return run(settings, store, job)


def kept(settings: Settings) -> list[str]:
    return names(settings.unpublished) if settings.unpublished.exists() else []


def codes(job: Job) -> tuple[object, object]:
    """Return what the job failed of, and what became of its frames."""
    assert job.status == "failed"
    assert job.error is not None
    then = job.error.get("then")
    return job.error["code"], then["code"] if isinstance(then, dict) else None


def assert_published_from_kept(settings: Settings, job: Job) -> None:
    assert job.status == "succeeded", job.error
    assert "unpublished.published" in [notice.code for notice in job.notices]
    assert job.result is not None
    assert job.result.notices[-1].code == "unpublished.published"
    assert job.result.generation == job.generation
    assert set(job.result.seconds) >= {"denoise", "decode", "encode"}
    assert JOB_TAG in read_tags(Path(job.output))
    grey = read_frames(Path(job.output)).mean((1, 2, 3))
    assert np.abs(grey - [10, 20, 30, 40]).max() < 3
    assert kept(settings) == []


# --- the output folder


@pytest.mark.parametrize("place", [("denoising", 2), AT_THE_END])
def test_a_folder_that_is_gone_is_made_again(
    settings: Settings, store: WatchedStore, place: tuple[str, int]
) -> None:
    store.at[place] = lambda claim: shutil.rmtree(settings.output.directory)
    job = run(settings, store, submit(store, settings))
    assert job.status == "succeeded", job.error
    assert read_frames(Path(job.output)).shape[0] == 4
    assert kept(settings) == []


@pytest.mark.parametrize("place", [("denoising", 2), AT_THE_END])
def test_a_file_in_the_folders_place_costs_no_frame(
    settings: Settings, store: WatchedStore, place: tuple[str, int]
) -> None:
    folder = settings.output.directory

    def replace(claim: Claim) -> None:
        shutil.rmtree(folder)
        folder.touch()

    store.at[place] = replace
    job = run(settings, store, submit(store, settings))
    assert codes(job) == ("encode.failed", "unpublished.kept")
    assert kept(settings) == [f"{job.id}.frames"]
    store.at.clear()
    assert codes(retry(settings, store, job)) == ("output.not_a_folder", "unpublished.kept")
    folder.unlink()
    assert_published_from_kept(settings, retry(settings, store, job))


def test_a_full_disk_costs_no_frame(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "70m") as disk:
        settings = stage(tmp_path, output__directory=disk / "videos")
        store = WatchedStore(settings.database)
        job = run(settings, store, submit(store, settings, f"step 2: fill {disk}"))
        assert codes(job) == ("encode.no_space", "unpublished.kept")
        assert job.error is not None
        assert str(disk) in str(job.error["message"])
        (disk / "filler").unlink()
        assert_published_from_kept(settings, retry(settings, store, job))


def test_room_for_the_frames_is_taken_before_the_disk_is_full(tmp_path: Path) -> None:
    """Videos, data and the database lie on one disk, as they do by default."""
    with small_disk(tmp_path / "disk", "80m") as disk:
        settings = stage(tmp_path, output__directory=disk / "videos", service__data_dir=disk / "data")
        store = WatchedStore(tmp_path / "jobs.db")
        job = run(settings, store, submit(store, settings, f"step 2: fill {disk}"))
        assert codes(job) == ("encode.no_space", "unpublished.kept")
        (disk / "filler").unlink()
        assert_published_from_kept(settings, retry(settings, store, job))


def test_where_nothing_can_be_kept_the_folder_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "70m") as disk, small_disk(tmp_path / "data") as data:
        settings = stage(tmp_path, output__directory=disk / "videos", service__data_dir=data)
        store = WatchedStore(tmp_path / "jobs.db")
        job = submit(store, settings, f"step 2: fill {disk}")
        fill(data)
        job = run(settings, store, job)
        assert codes(job) == ("encode.no_space", "unpublished.not_kept")
        assert job.error is not None
        assert str(settings.unpublished) in str(job.error["message"])


# --- ffmpeg


@pytest.fixture
def break_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Have ffmpeg run a script first, from when this is called; before that, it is whole."""
    tool, script = tmp_path / "ffmpeg", tmp_path / "script"
    script.touch()
    tool.write_text(f'#!/bin/sh\n. {script}\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tool))
    return script.write_text


@pytest.mark.parametrize(
    "script",
    [
        "head -c 20000 >/dev/null; kill -9 $$",
        *(pytest.param(script, marks=pytest.mark.slow) for script in ("kill -9 $$", "exit 1")),
    ],
)
def test_an_encoder_that_dies_costs_no_frame(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int], script: str
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg(script)
    job = run(settings, store, submit(store, settings))
    assert codes(job) == ("encode.failed", "unpublished.kept")
    break_ffmpeg("")
    assert_published_from_kept(settings, retry(settings, store, job))


def test_an_encoder_that_dies_once_is_started_again(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int], tmp_path: Path
) -> None:
    once = f"[ -e {tmp_path}/died ] || {{ touch {tmp_path}/died; kill -9 $$; }}"
    store.at["denoising", 2] = lambda claim: break_ffmpeg(once)
    job = run(settings, store, submit(store, settings))
    assert (job.status, kept(settings)) == ("succeeded", [])
    assert "unpublished.published" not in [notice.code for notice in job.notices], "nobody need know"


def test_an_ffmpeg_that_goes_away_costs_no_frame(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int], tmp_path: Path
) -> None:
    store.at["denoising", 2] = lambda claim: (tmp_path / "ffmpeg").rename(tmp_path / "away") and None
    job = run(settings, store, submit(store, settings))
    assert codes(job) == ("encode.no_ffmpeg", "unpublished.kept")
    assert job.error is not None
    assert str(tmp_path / "ffmpeg") in str(job.error["message"])
    (tmp_path / "away").rename(tmp_path / "ffmpeg")
    assert_published_from_kept(settings, retry(settings, store, job))


# --- what else ends an attempt


def test_what_the_engine_fails_of_keeps_nothing(settings: Settings, store: WatchedStore) -> None:
    assert codes(run(settings, store, submit(store, settings, "frame 3: memory"))) == (
        "ladder.exhausted",
        None,
    )
    assert kept(settings) == []


def test_a_worker_that_dies_after_keeping_has_computed_for_the_next(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int]
) -> None:
    class Dying(WatchedStore):
        def fail(self, claim: Claim, error: dict[str, object]) -> Job:
            raise SystemExit

    dying = Dying(settings.database)
    dying.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    job = submit(store, settings)
    with pytest.raises(SystemExit):
        run(settings, dying, job)
    break_ffmpeg("")
    write_model(settings.models.directory.parent, load="load: fail")
    (recovered,) = store.recover("worker")
    clean_up(recovered, settings.unpublished)
    assert_published_from_kept(settings, run(settings, store, job))


def test_damaged_frames_are_computed_again(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int]
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    job = run(settings, store, submit(store, settings))
    (file,) = settings.unpublished.iterdir()
    file.write_bytes(file.read_bytes()[100:])
    break_ffmpeg("")
    store.at.clear()
    store.retry(job.id)
    job = run(settings, store, job)
    assert job.status == "succeeded"
    assert "unpublished.published" not in [notice.code for notice in job.notices]
    assert kept(settings) == []


def test_a_defect_in_the_delivery_costs_no_frame(
    settings: Settings, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("i2v.pipeline.delivery.resize_frames", fail)
        job = run(settings, store, submit(store, settings))
    assert codes(job) == ("job.internal", "unpublished.kept")
    assert_published_from_kept(settings, retry(settings, store, job))


def test_kept_frames_that_cannot_be_read_to_their_end_are_computed_again_by_the_next_retry(
    settings: Settings,
    store: WatchedStore,
    break_ffmpeg: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    job = run(settings, store, submit(store, settings))
    break_ffmpeg("")
    store.at.clear()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(np, "fromfile", fail)
        store.retry(job.id)
        job = run(settings, store, job)
    assert codes(job) == ("unpublished.lost", None)
    assert kept(settings) == []
    store.retry(job.id)
    assert run(settings, store, job).status == "succeeded"


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_frames_of_a_job_that_nobody_wants_are_removed(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int], action: str
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    job = run(settings, store, submit(store, settings))
    assert kept(settings) == [f"{job.id}.frames"]
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    if action == "delete":
        service.delete(job.id)
    else:
        store.retry(job.id)
        service.cancel(job.id)
    assert kept(settings) == []


def test_a_publishing_that_is_cancelled_keeps_nothing(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int]
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    job = run(settings, store, submit(store, settings))
    break_ffmpeg("")
    store.at["encoding", None] = lambda claim: store.cancel(claim.job.id)
    assert retry(settings, store, job).status == "cancelled"
    assert (kept(settings), names(settings.output.directory)) == ([], [])


def test_pages_say_what_became_of_the_frames_in_both_languages(
    settings: Settings, store: WatchedStore, break_ffmpeg: Callable[[str], int]
) -> None:
    store.at["denoising", 2] = lambda claim: break_ffmpeg("exit 1")
    error = run(settings, store, submit(store, settings)).error
    assert error is not None
    assert "are kept for 30 days" in translate(error, "en")
    assert "会保留 30 天" in translate(error, "zh-CN")


# --- stories

STORY = [{"seconds": 1}, {"seconds": 1, "prompt": "step 2: refuse once"}]


def levels(job: Job) -> list[int]:
    assert job.status == "succeeded", job.error
    return [round(grey) for grey in read_frames(Path(job.output)).mean((1, 2, 3))]


def test_a_story_that_was_cut_off_goes_on_from_its_last_whole_segment(
    settings: Settings, store: WatchedStore
) -> None:
    plain = run(settings, store, submit(store, settings, story=[{"seconds": 1}, {"seconds": 1}]))
    assert len(levels(plain)) == 16
    assert kept(settings) == []
    job = run(settings, store, submit(store, settings, story=STORY))
    assert codes(job) == ("weights.missing_file", "story.kept")
    assert kept(settings) == [f"{job.id}.story"]
    assert job.generation is not None
    total = len(job.generation.segments)
    assert job.error is not None
    assert job.error["then"]["params"] == {"segments": 3, "total": total, "days": 30}  # type: ignore[index]
    store.progresses.clear()
    store.retry(job.id)
    again = run(settings, store, job)
    assert levels(again) == levels(plain)
    assert kept(settings) == []
    assert again.result is not None
    assert "story.resumed" in [notice.code for notice in again.result.notices]
    steps = [progress.step for progress in store.progresses if progress.phase == "denoising"]
    assert min(step for step in steps if step is not None) == 3 * 4, "nothing is denoised again"


def test_the_segments_of_a_story_that_nobody_wants_are_removed(
    settings: Settings, store: WatchedStore
) -> None:
    job = submit(store, settings, story=STORY)
    store.at["denoising", 13] = lambda claim: store.cancel(claim.job.id)
    assert run(settings, store, job).status == "cancelled"
    assert kept(settings) == []


def test_the_progress_of_a_story_is_one(settings: Settings, store: WatchedStore) -> None:
    job = run(settings, store, submit(store, settings, story=[{"seconds": 2}]))
    assert job.generation is not None
    total = 4 * len(job.generation.segments)
    denoising = [progress for progress in store.progresses if progress.phase == "denoising"]
    steps = [each.step for each in denoising if each.step]
    assert steps == sorted(steps)
    assert {each.total for each in denoising} == {total}
    fractions = [progress.fraction for progress in store.progresses]
    assert fractions == sorted(fractions)
    assert store.progresses[-1].phase == "encoding"
