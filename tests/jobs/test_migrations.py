"""Databases that released versions have written are opened, and their jobs go on: one file a version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.migrations import MIGRATIONS
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.workers.worker import Worker
from tests.rehearsal import ENGINES, picture, stage

FILES = sorted((Path(__file__).parent / "files").glob("version_*.sql"))
QUEUE = ["queued second", "queued third", "failed, then retried: 重试"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


def write(file: Path, settings: Settings) -> None:
    """Make the database of which `file` is the dump, with its videos in the settings' folder."""
    with closing(sqlite3.connect(settings.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(file.read_text().replace("/outputs", str(settings.output.directory)))
    for name in ("jobs.db-wal", "jobs.db-shm"):
        assert not settings.database.with_name(name).exists()


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def store(request: pytest.FixtureRequest, settings: Settings) -> Iterator[JobStore]:
    write(request.param, settings)
    with closing(JobStore(settings.database)) as store:
        yield store


def test_versions_are_numbered_without_a_gap_and_each_has_its_file() -> None:
    versions = [migration.version for migration in MIGRATIONS]
    assert versions == list(range(1, len(versions) + 1))
    assert [file.stem for file in FILES] == [f"version_{version}" for version in versions[:-1]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_old_file_gets_the_tables_that_a_new_one_has(file: Path, tmp_path: Path) -> None:
    old, new = stage(tmp_path / "old"), stage(tmp_path / "new")
    write(file, old)
    tables = []
    for settings in (old, new):
        JobStore(settings.database).close()
        with closing(sqlite3.connect(settings.database)) as connection:
            tables.append(connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall())
            assert connection.execute("PRAGMA user_version").fetchone() == (MIGRATIONS[-1].version,)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sorted(tables[0]) == sorted(tables[1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_whoever_is_not_the_service_leaves_an_old_file_alone(file: Path, settings: Settings) -> None:
    write(file, settings)
    before = settings.database.read_bytes()
    with pytest.raises(I2VError) as caught:
        JobStore(settings.database, create=False)
    assert caught.value.code == "database.older"
    assert settings.database.read_bytes() == before


def test_all_jobs_are_there_as_they_were(store: JobStore, settings: Settings) -> None:
    jobs = store.page(limit=1000).jobs
    assert [(job.request["prompt"], job.status) for job in reversed(jobs)] == [
        ("waves", "succeeded"),
        ("clouds, drifting", "succeeded"),
        ("step 1: refuse", "failed"),
        ("step 1: kill", "failed"),
        ("fog", "cancelled"),
        ("never begun", "cancelled"),
        ("queued first", "running"),
        ("queued second", "queued"),
        ("failed, then retried: 重试", "queued"),
        ("queued third", "queued"),
    ]
    waves, _, refused, killed, fog, _, running, second, *_ = reversed(jobs)
    assert all(store.get(job.id) == job for job in jobs)
    assert Path(waves.output) == settings.output.directory / f"{waves.id}.mp4"
    assert refused.error is not None
    assert refused.error["code"] == "weights.missing_file"
    assert (killed.deaths, [past.ending for past in killed.history]) == (2, ["died", "died"])
    assert (fog.phase, fog.progress) == ("denoising", 0.3)
    assert store.preview(running.id) == b"RIFF\0preview"
    assert (running.step, running.total, running.attempt) == (2, 4, 3)
    assert second.history[0].ending == "released"
    assert len(store.recent_runs()) == 2
    assert store.inputs() == {f"{job.id}.png" for job in jobs}
    assert store.counts() == {"queued": 3, "running": 1, "succeeded": 2, "failed": 2, "cancelled": 2}


def test_the_queue_keeps_its_order_and_the_running_job_its_place(store: JobStore) -> None:
    assert [job.request["prompt"] for job in store.unfinished()] == ["queued first", *QUEUE]
    (interrupted,) = store.recover_interrupted()
    assert (interrupted.request["prompt"], interrupted.interruptions) == ("queued first", 1)
    claims = [store.claim("owner") for _ in range(4)]
    assert [claim and claim.job.request["prompt"] for claim in claims] == ["queued first", *QUEUE]


def test_its_jobs_are_run_to_their_end(store: JobStore, settings: Settings) -> None:
    store.recover_interrupted()
    for job in store.unfinished():
        (settings.inputs / job.input).write_bytes(picture())
    worker = Worker(settings, store, ENGINES, DeviceInfo("cpu", "CPU", 2**34), "owner")
    while worker.run_next():
        pass
    done = [job for job in store.page("succeeded").jobs if Path(job.output).exists()]
    assert {job.request["prompt"] for job in done} == {"queued first", *QUEUE}
    assert {probe(Path(job.output)).num_frames for job in done} == {4}
    assert store.counts()["queued"] == store.counts()["running"] == 0
