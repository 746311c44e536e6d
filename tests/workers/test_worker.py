"""workers.worker: what a job goes through, in this process, with an engine that does what its prompt says."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.cli.main import main
from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.registry import engines
from i2v.jobs.model import Claim, Job, JsonObject
from i2v.jobs.store import JobStore
from i2v.media.video import probe, read_tags
from i2v.service.service import Service
from i2v.workers.cleanup import JOB_TAG, clean_up
from i2v.workers.executors.inline import InlineExecutor
from i2v.workers.progress import PHASES
from i2v.workers.worker import Beat, Worker
from tests.clips import names, read_frames
from tests.house import wait_until
from tests.rehearsal import ENGINES, REHEARSAL, stage, submit, write_model
from tests.watched_store import WatchedStore

CPU = DeviceInfo("cpu", "CPU", 2**34)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def store(settings: Settings) -> WatchedStore:
    return WatchedStore(settings.database)


def worker(settings: Settings, store: JobStore, owner: str = "worker") -> Worker:
    return Worker(settings, store, ENGINES, CPU, owner)


def run(settings: Settings, store: JobStore, prompt: str = "", **fields: object) -> Job:
    job = submit(store, settings, prompt, **fields)
    assert worker(settings, store).run_next()
    return store.get(job.id)


def error_of(job: Job) -> tuple[str, str]:
    assert job.status == "failed"
    assert job.error is not None
    return str(job.error["code"]), str(job.error["message"])


def videos(settings: Settings) -> list[str]:
    folder = settings.output.directory
    return names(folder) if folder.exists() else []


# --- what is told


def test_a_job_goes_through_its_phases_and_never_back(settings: Settings, store: WatchedStore) -> None:
    job = run(settings, store)
    assert job.status == "succeeded"
    phases = [progress.phase for progress in store.progresses]
    assert list(dict.fromkeys(phases)) == list(PHASES.values()), "a phase is missing, or comes twice"
    fractions = [progress.fraction for progress in store.progresses]
    assert fractions == sorted(fractions)
    assert [progress.step for progress in store.progresses if progress.phase == "denoising"] == [0, 1, 2, 3]


def test_the_preview_of_a_running_job_is_a_moving_picture(settings: Settings, store: WatchedStore) -> None:
    seen: list[bytes | None] = []
    store.at["denoising", 2] = lambda claim: seen.append(store.preview(claim.job.id))
    job = run(settings, store)
    assert seen[0] is not None
    with Image.open(io.BytesIO(seen[0])) as preview:
        assert (preview.format, preview.size) == ("WEBP", (8, 8))
    assert store.preview(job.id) is None, "the job is over"


def test_the_service_hears_a_word_at_each_step(settings: Settings, store: WatchedStore) -> None:
    beats: list[Beat] = []
    job = submit(store, settings)
    Worker(settings, store, ENGINES, CPU, "worker", beats.append).run_next()
    assert beats[0] == Beat(job.id)
    assert beats[-1] == Beat(None)
    assert beats.count(Beat(job.id)) > len(store.progresses)


# --- what comes out


def test_the_result_is_what_the_command_line_prints(
    tmp_path: Path, photo: Image.Image, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same picture, request and seed, once by `i2v generate --json`, once as a job: object and frames."""
    photo.save(tmp_path / "photo.gif", save_all=True, append_images=[photo.rotate(90)])
    fields: JsonObject = {"prompt": "the camera pans left", "resolution": "256p", "seed": 7}
    settings = stage(tmp_path)
    monkeypatch.setenv("I2V_OUTPUT__DIRECTORY", str(settings.output.directory))
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(settings.models.directory))
    monkeypatch.setenv("I2V_ENGINE__DEVICE", settings.engine.device)
    spec = replace(REHEARSAL, implementation="tests.rehearsal:PictureEngine")
    monkeypatch.setitem(engines(), spec.name, spec)
    flags = [f"--{name}={value}" for name, value in fields.items()]
    assert main(["generate", str(tmp_path / "photo.gif"), "--engine=rehearsal", "--json", *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    printed_path = Path(printed["path"])

    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, engines()), engines())
    service.start()
    job = service.get(service.submit(fields, (tmp_path / "photo.gif").read_bytes()).id)
    assert job.result is not None
    assert {"image.animated", "image.upscaled"} <= {notice["code"] for notice in printed["notices"]}
    assert str(job.result.path) == job.output
    assert job.result.seconds.keys() == printed["seconds"].keys()
    assert all(seconds >= 0 for seconds in job.result.seconds.values())
    assert [stage.name for stage in job.result.stages] == ["condition", "denoise", "decode"]
    done = json.loads(json.dumps(job.result.to_dict()))
    for made in (done, printed):
        made |= {"path": "", "seconds": {}, "stages": []}
        del made["made_with"]["busy_cpus"]  # measured
    assert done == printed
    assert list(done) == list(printed)
    np.testing.assert_array_equal(read_frames(Path(job.output)), read_frames(printed_path))
    service.stop()


def test_the_video_says_whose_it_is_but_not_the_jobs_id(settings: Settings, store: WatchedStore) -> None:
    job = run(settings, store)
    assert probe(Path(job.output)).num_frames == 4
    assert JOB_TAG in read_tags(Path(job.output))
    assert job.id.encode() not in Path(job.output).read_bytes(), "who has the video could ask for the job"
    assert job.result is not None
    assert job.result.notices == job.notices


# --- the same job twice


def identity(path: Path) -> tuple[int, ...]:
    """Return what is another of a file that was written anew; that it was read does not count."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class DyingStore(WatchedStore):
    """The process dies after the rename and before the commit."""

    def finish(self, claim: Claim, result: JsonObject) -> Job:
        raise SystemExit


def test_a_video_that_was_published_before_a_death_is_recognized(
    settings: Settings, store: WatchedStore
) -> None:
    with closing(DyingStore(settings.database)) as dying, pytest.raises(SystemExit):
        run(settings, dying)
    (interrupted,) = store.recover("worker")
    before = identity(Path(interrupted.output))
    write_model(settings.models.directory.parent, load="load: fail")  # there is nothing left to compute
    assert worker(settings, store, "next").run_next()
    job = store.get(interrupted.id)
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert identity(Path(job.output)) == before
    assert job.result is not None
    assert job.result == Result(Path(job.output), interrupted.generation, job.notices)


def test_an_attempt_that_was_thought_dead_does_not_publish_twice(
    settings: Settings, store: WatchedStore
) -> None:
    """The second attempt runs to its end while the first one, which was taken for dead, is encoding."""

    def run_again(claim: Claim) -> None:
        store.recover("worker")
        assert worker(settings, store, "next").run_next()

    with closing(WatchedStore(settings.database)) as slow:
        slow.at["encoding", None] = run_again
        job = run(settings, slow)
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert videos(settings) == [Path(job.output).name]


def test_a_job_that_was_given_to_somebody_else_is_dropped(settings: Settings, store: WatchedStore) -> None:
    store.at["decoding", 2] = lambda claim: store.recover("worker")
    job = run(settings, store)
    assert (job.status, job.deaths) == ("queued", 1)
    assert videos(settings) == []
    assert worker(settings, store, "next").run_next()
    assert store.get(job.id).status == "succeeded"


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_strangers_file_is_left_alone(settings: Settings, store: WatchedStore, when: str) -> None:
    job = submit(store, settings)
    path = Path(job.output)

    def take_the_name(claim: Claim | None = None) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")

    if when == "before":
        take_the_name()
    else:
        store.at["decoding", 3] = take_the_name
    worker(settings, store).run_next()
    code, message = error_of(store.get(job.id))
    assert code == "job.output_taken"
    assert str(path) in message
    clean_up(store.get(job.id), settings.unpublished)
    assert path.read_bytes() == b"mine"
    assert videos(settings) == [path.name]


def test_what_a_dead_attempt_left_is_removed_by_the_next(settings: Settings, store: WatchedStore) -> None:
    job = submit(store, settings)
    folder = settings.output.directory
    folder.mkdir()
    (folder / f".{job.id}.0123456789ab.part.mp4").write_bytes(b"half a video")
    (folder / f"{job.id}.mp4").touch()  # a name that was only reserved: the disk has no hard links
    (folder / ".other.0123456789ab.part.mp4").write_bytes(b"somebody is writing it")
    worker(settings, store).run_next()
    assert store.get(job.id).status == "succeeded"
    assert videos(settings) == [".other.0123456789ab.part.mp4", f"{job.id}.mp4"]


# --- cancel


@pytest.mark.parametrize(
    "place", [("conditioning", None), ("denoising", 2), ("decoding", 2), ("encoding", None)]
)
def test_a_cancel_is_seen_at_the_next_step(
    settings: Settings, store: WatchedStore, place: tuple[str, int | None]
) -> None:
    store.at[place] = lambda claim: store.cancel(claim.job.id)
    job = run(settings, store)
    assert job.status == "cancelled"
    assert (store.progresses[-1].phase, store.progresses[-1].step) == place, "it went on"
    assert videos(settings) == []


def test_a_job_that_was_cancelled_too_late_keeps_no_video(settings: Settings, store: WatchedStore) -> None:
    with closing(DyingStore(settings.database)) as dying, pytest.raises(SystemExit):
        run(settings, dying)
    (running,) = store.page("running").jobs
    store.cancel(running.id)
    assert videos(settings) == [Path(running.output).name]
    (job,) = store.recover("worker")
    assert job.status == "cancelled"
    clean_up(job, settings.unpublished)
    assert videos(settings) == []


# --- failures


@pytest.mark.parametrize(
    ("prompt", "code", "words"),
    [
        ("step 2: refuse", "weights.missing_file", "unet.safetensors"),
        ("frame 2: memory", "ladder.exhausted", "rehearsed"),
        ("step 2: fail", "job.internal", "RuntimeError"),
        ("frame 2: fail", "job.internal", "log"),
    ],
)
def test_a_failure_says_what_happened(
    settings: Settings, store: WatchedStore, prompt: str, code: str, words: str
) -> None:
    found, message = error_of(run(settings, store, prompt))
    assert found == code
    assert words in message
    assert videos(settings) == []


def test_the_log_has_what_the_message_leaves_out(
    settings: Settings, store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    job = run(settings, store, "step 2: fail")
    assert f"job {job.id}" in caplog.text
    assert "RuntimeError: rehearsed" in caplog.text


def test_a_lost_picture_is_named(settings: Settings, store: WatchedStore) -> None:
    job = submit(store, settings)
    (settings.inputs / job.input).unlink()
    worker(settings, store).run_next()
    code, message = error_of(store.get(job.id))
    assert code == "job.picture_lost"
    assert job.input in message


def test_an_engine_that_is_gone_is_named(settings: Settings, store: WatchedStore) -> None:
    job = submit(store, settings)
    Worker(settings, store, {"other": EMBEDDED}, CPU, "worker").run_next()
    code, message = error_of(store.get(job.id))
    assert code == "request.unknown_engine"
    assert "rehearsal" in message


def test_missing_weights_are_named(settings: Settings, store: WatchedStore) -> None:
    (settings.models.directory / "rehearsal" / "model_index.json").unlink()
    assert error_of(run(settings, store))[0] == "weights.missing_folder"


def test_a_worker_that_failed_for_unknown_reasons_takes_no_other_job(
    settings: Settings, store: WatchedStore
) -> None:
    """The device may be in a state in which everything fails; a fresh process goes on."""
    failing = submit(store, settings, "step 1: fail")
    waiting = submit(store, settings)
    worker(settings, store).run()
    assert error_of(store.get(failing.id))[0] == "job.internal"
    assert store.get(waiting.id).status == "queued"


@pytest.mark.parametrize("prompt", ["step 1: refuse", "step 1: memory"])
def test_a_worker_goes_on_after_failures_that_are_understood(tmp_path: Path, prompt: str) -> None:
    settings = stage(tmp_path, worker__idle_seconds=0.01)
    store = WatchedStore(settings.database)
    submit(store, settings, prompt)
    waiting = submit(store, settings)
    worker(settings, store).run()
    assert store.get(waiting.id).status == "succeeded"


def test_a_worker_without_work_ends_and_speaks_until_then(tmp_path: Path) -> None:
    settings = stage(tmp_path, worker__idle_seconds=0.5)
    store = WatchedStore(settings.database)
    beats: list[Beat] = []
    start = time.monotonic()
    Worker(settings, store, ENGINES, CPU, "worker", beats.append).run()
    assert time.monotonic() - start >= 0.5
    assert len(beats) >= 2


# --- a database that is away


@pytest.fixture
def quick_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.jobs.database.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("i2v.workers.worker.RETRY_SECONDS", 0.1)


class Lock:
    """Holds the database's only lock for writing from the outside."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def give_back(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


@pytest.mark.usefixtures("quick_refusal")
@pytest.mark.parametrize(("prompt", "status"), [("", "succeeded"), ("step 3: refuse", "failed")])
def test_what_has_happened_is_reported_when_the_database_is_back(
    settings: Settings, prompt: str, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From the second step to some time after the end of the job, nothing can be written."""
    store, lock = WatchedStore(settings.database), Lock(settings.database)

    def give_back() -> None:
        wait_until(lambda: "the database is asked again" in caplog.text)
        lock.give_back()

    unlock = threading.Thread(target=give_back)

    def go_away(claim: Claim) -> None:
        lock.take()
        unlock.start()

    store.at["denoising", 2] = go_away
    job = run(settings, store, prompt)
    unlock.join()
    assert job.status == status
    assert "its progress could not be stored" in caplog.text
    assert "the database is asked again" in caplog.text


@pytest.mark.usefixtures("quick_refusal")
def test_a_database_that_stays_away_ends_the_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.workers.worker.MAX_RETRIES", 2)
    store, lock = WatchedStore(settings.database), Lock(settings.database)
    submit(store, settings)
    lock.take()
    with pytest.raises(I2VError) as caught:
        worker(settings, store).run_next()
    assert caught.value.code == "database.unusable"
    lock.give_back()
    assert [job.status for job in store.page().jobs] == ["queued"]


# --- inline


def test_inline_runs_all_there_is_before_it_returns(settings: Settings, store: WatchedStore) -> None:
    jobs = [submit(store, settings) for _ in range(2)]
    executor = InlineExecutor(settings, store, ENGINES)
    executor.start()
    jobs.append(submit(store, settings))
    executor.wake()
    assert {store.get(job.id).status for job in jobs} == {"succeeded"}
    assert executor.problem() is None
    assert executor.device().type == "cpu"
    executor.stop()


@pytest.mark.slow
def test_inline_runs_one_job_at_a_time(settings: Settings, store: WatchedStore) -> None:
    executor = InlineExecutor(settings, store, ENGINES)
    for _ in range(2):
        submit(store, settings, "step: sleep 0.05")
    threads = [threading.Thread(target=executor.wake) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert store.counts()["running"] <= 1
    assert store.counts()["succeeded"] == 2
