"""i2v.service.retention: which jobs go by themselves, and that nothing else does."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.settings import StorageSettings
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.media.decoder import thumbnail_of
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from i2v.service.retention import DAY, GIGABYTE, PERIOD_SECONDS, Retention
from i2v.service.service import Service
from i2v.workers.cleanup import JOB_TAG, tag_of
from i2v.workers.executors.inline import InlineExecutor
from tests.clips import SIZE, make_frames, names, write
from tests.house import wait_until
from tests.job_crew import result_of
from tests.rehearsal import ENGINES, stage, submit


@cache
def template() -> bytes:
    """Return a small video with a job's tag in it that is all zeros."""
    with tempfile.TemporaryDirectory() as folder:
        target = OutputFile(Path(folder) / "template.mp4")
        with Mp4Writer(target, fps=8, size=SIZE, tags={JOB_TAG: "0" * 32}) as writer:
            writer.append(make_frames(3))
            return writer.finish().path.read_bytes()


def gigabytes(limit: float) -> StorageSettings:
    return StorageSettings(keep_days=0, keep_gigabytes=limit, keep_jobs=0, trash_days=3)


class Kept:
    """A service, its jobs, and its retention, whose clock a test sets."""

    def __init__(self, folder: Path, **flags: object) -> None:
        self.now = 1_000_000.0
        self.settings = stage(folder, **flags)
        self.store = JobStore(self.settings.database, clock=lambda: self.now)
        executor = InlineExecutor(self.settings, self.store, ENGINES)
        self.service = Service(self.settings, self.store, executor, ENGINES)
        self.settings.output.directory.mkdir()
        self.deleted: list[str] = []
        self.retention = self.made(self.settings.storage)

    def made(self, storage: StorageSettings) -> Retention:
        def delete(job_id: str) -> None:
            self.service.delete(job_id)
            self.deleted.append(job_id)

        service = self.service
        input_bytes = service._inputs.bytes_of
        return Retention(storage, self.store.owned, service._own_bytes, input_bytes, delete, lambda: self.now)

    def end(self, prompt: str = "x", well: bool = True) -> Job:
        """Return a job that ended a day ago."""
        job = submit(self.store, self.settings, prompt)
        thumbnail_of(self.settings.inputs / job.input).write_bytes(b"a small picture")
        claim = self.store.claim("somebody")
        assert claim is not None
        if well:
            video = template().replace(b"0" * 32, tag_of(job).encode())
            Path(job.output).write_bytes(video)
            self.store.finish(claim, result_of(job.id))
        else:
            self.store.fail(claim, {"code": "decode.nan_float32", "params": {}, "message": ""})
        self.now += DAY
        return self.store.get(job.id)

    def held(self) -> int:
        """Return how many bytes videos and pictures take."""
        folders = (self.settings.output.directory, self.settings.inputs)
        return sum(file.stat().st_size for folder in folders for file in folder.iterdir())

    def left(self) -> set[str]:
        return {job.id for job in self.store.page(limit=100).jobs}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Kept]:
    return lambda **flags: Kept(tmp_path, **flags)


def test_jobs_that_ended_long_enough_ago_go_with_all_that_is_theirs(
    make: Callable[..., Kept], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = make(storage__keep_days=3)
    old = [kept.end("a secret prompt"), kept.end(well=False), kept.end()]
    young = kept.end()
    kept.now += 2 * DAY + 1  # they ended 6, 5, 4 and 3 days ago, and a second
    kept.now -= 2  # the youngest not quite
    kept.retention.sweep()
    assert kept.deleted == [job.id for job in old]
    assert kept.left() == {young.id}
    assert names(kept.settings.output.directory) == [Path(young.output).name]
    assert all(name.startswith(young.id) for name in names(kept.settings.inputs))
    reported = [record.getMessage() for record in caplog.records if record.name == "i2v.service.retention"]
    assert len(reported) == 3
    assert "secret" not in caplog.text
    kept.retention.sweep()
    assert len(kept.deleted) == 3


def test_the_oldest_go_until_the_rest_is_within_the_limit(make: Callable[..., Kept]) -> None:
    kept = make()
    jobs = [kept.end() for _ in range(4)]
    sizes = [Path(job.output).stat().st_size + kept.service._inputs.bytes_of(job.input) for job in jobs]
    assert kept.held() == sum(sizes)
    for allowed, gone in ((sum(sizes), 0), (sum(sizes) - 1, 1), (sizes[3], 3), (sizes[3], 3), (1, 4)):
        kept.made(gigabytes(allowed / GIGABYTE)).sweep()
        assert kept.deleted == [job.id for job in jobs[:gone]]
        assert kept.held() <= allowed or gone == 4
    assert kept.left() == set()


def test_frames_that_wait_to_be_published_count(make: Callable[..., Kept]) -> None:
    kept = make()
    succeeded, failed = kept.end(), kept.end(well=False)
    folder = kept.settings.unpublished
    folder.mkdir()
    (folder / f"{failed.id}.frames").write_bytes(bytes(5_000_000))
    limit = gigabytes(4_000_000 / GIGABYTE)
    kept.made(limit).sweep()
    assert kept.left() == set()
    assert names(folder) == []
    assert kept.deleted == [succeeded.id, failed.id]


def test_nothing_is_deleted_unless_it_is_asked_for(make: Callable[..., Kept]) -> None:
    kept = make()
    job = kept.end()
    kept.now += 10_000 * DAY
    kept.retention.sweep()
    kept.retention.start()
    kept.retention.stop()
    assert kept.left() == {job.id}
    assert Path(job.output).exists()


def test_queued_and_running_jobs_and_files_of_nobody_stay(make: Callable[..., Kept]) -> None:
    kept = make(storage__keep_days=1, storage__keep_gigabytes=1e-9)
    ended = kept.end()
    foreign = kept.settings.output.directory / "from the command line.mp4"
    write(OutputFile(foreign))
    os.utime(foreign, (0, 0))
    running, queued = (submit(kept.store, kept.settings) for _ in range(2))
    assert kept.store.claim("somebody") is not None
    kept.now += 100 * DAY
    kept.retention.sweep()
    assert kept.deleted == [ended.id]
    assert kept.left() == {running.id, queued.id}
    assert foreign.exists()
    for job in (running, queued):
        assert kept.service.picture(job) is not None


def test_a_large_file_of_somebody_else_under_a_name_costs_no_other_job(
    make: Callable[..., Kept],
) -> None:
    kept = make()
    first, second = kept.end(), kept.end()
    Path(first.output).write_bytes(bytes(10_000_000))
    limit = 1_000_000
    assert kept.service._inputs.bytes_of(first.input) + kept.held() - 10_000_000 < limit
    kept.made(gigabytes(limit / GIGABYTE)).sweep()
    assert kept.left() == {first.id, second.id}
    kept.made(gigabytes(1 / GIGABYTE)).sweep()
    assert kept.left() == set()
    assert Path(first.output).stat().st_size == 10_000_000


def test_one_that_cannot_be_deleted_keeps_no_other_one(
    make: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = make(storage__keep_days=1)
    first, second = kept.end(), kept.end()
    kept.now += 10 * DAY
    delete = kept.service.delete

    def refuse(job_id: str) -> object:
        if job_id == first.id:
            raise I2VError("job.not_removed", path=first.output, reason="Read-only file system")
        return delete(job_id)

    with monkeypatch.context() as patch:
        patch.setattr(kept.service, "delete", refuse)
        kept.retention.sweep()
    assert kept.left() == {first.id}
    assert "Read-only file system" in caplog.text
    kept.retention.sweep()
    assert kept.deleted == [second.id, first.id]


def test_a_job_whose_disk_is_away_stays_until_it_is_back(make: Callable[..., Kept]) -> None:
    kept = make(storage__keep_days=1)
    job = kept.end()
    kept.now += 10 * DAY
    folder = kept.settings.output.directory
    away = folder.rename(folder.with_name("unplugged"))
    kept.retention.sweep()
    assert kept.left() == {job.id}
    away.rename(folder)
    kept.retention.sweep()
    assert (kept.left(), names(folder)) == (set(), [])


def test_the_service_looks_at_its_start_and_again_whatever_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(tmp_path, storage__keep_days=30)
    service, store = kept.service, kept.store
    job = kept.end()  # in January 1970: the service has the true clock
    monkeypatch.setattr("i2v.service.retention.PERIOD_SECONDS", 0.01)
    rounds: list[int] = []

    def owned() -> object:
        rounds.append(1)
        if len(rounds) == 1:
            raise ZeroDivisionError("a defect")
        if len(rounds) == 2:
            raise I2VError("database.unusable", path="jobs.db", reason="disk I/O error")
        return JobStore.owned(store)

    monkeypatch.setattr(service._retention, "_owned", owned)
    service.start()
    wait_until(lambda: store.page().jobs == ())
    service.stop()
    assert not Path(job.output).exists()
    assert caplog.text.count("retention: this round was given up") == 1
    assert "retention: not now: Cannot use jobs.db" in caplog.text
    assert PERIOD_SECONDS <= 600


def test_a_star_keeps_a_job_whatever_the_limits_are(make: Callable[..., Kept]) -> None:
    kept = make(storage__keep_days=1, storage__keep_gigabytes=1e-9, storage__keep_jobs=1)
    starred, other = kept.end(), kept.end()
    kept.service.library.star(starred.id, True)
    kept.now += 10 * DAY
    kept.retention.sweep()
    assert kept.left() == {starred.id}
    assert Path(starred.output).exists()
    assert kept.deleted == [other.id]


def test_the_oldest_go_where_there_are_too_many(make: Callable[..., Kept]) -> None:
    kept = make(storage__keep_jobs=2)
    jobs = [kept.end(well=number != 1) for number in range(4)]
    kept.service.library.star(jobs[0].id, True)
    waiting = submit(kept.store, kept.settings)
    kept.service.library.trash(jobs[3].id)
    kept.retention.sweep()
    assert kept.deleted == [jobs[1].id]
    assert kept.left() == {jobs[0].id, jobs[2].id, waiting.id}
    kept.retention.sweep()
    assert len(kept.deleted) == 1


def test_what_is_in_the_trash_goes_after_its_days_with_or_without_a_star(make: Callable[..., Kept]) -> None:
    kept = make(storage__trash_days=2)
    first, second, other = (kept.end() for _ in range(3))
    kept.service.library.star(first.id, True)
    kept.service.library.trash(first.id)
    kept.now += DAY
    kept.service.library.trash(second.id)
    kept.retention.sweep()
    assert kept.deleted == []
    kept.now += DAY
    kept.retention.sweep()
    assert kept.deleted == [first.id]
    kept.now += DAY
    kept.retention.sweep()
    assert kept.deleted == [first.id, second.id]
    assert kept.left() == {other.id}
    assert names(kept.settings.output.directory) == [Path(other.output).name]


def test_the_trash_counts_and_goes_first(make: Callable[..., Kept]) -> None:
    kept = make()
    old, trashed, young = (kept.end() for _ in range(3))
    held = kept.held()
    kept.service.library.trash(trashed.id)
    kept.made(gigabytes((held - 1) / GIGABYTE)).sweep()
    assert kept.deleted == [trashed.id]
    assert kept.left() == {old.id, young.id}
