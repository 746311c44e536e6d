"""A backup of the service's data: jobs, their pictures and videos, and secrets, as one archive.

The service may run meanwhile. The database is copied as it is at one moment (SQLite's backup), and files are
those that this copy names: they never change, they only come and go. A job that is deleted while its files
are read is taken out of the copy. Owns what is in such an archive, and its names; weights, settings and logs
are not. `restore` reads it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.core.settings import Settings
from i2v.host.archive import writing
from i2v.host.data_folder import SECRETS
from i2v.jobs.model import OwnedFiles
from i2v.jobs.rows import files_of
from i2v.jobs.store import JobStore
from i2v.media.decoder import thumbnail_of
from i2v.service.job_files import find_video

KIND = "i2v-backup"
DATABASE = "jobs.db"

OnProgress = Callable[[int, int], None]  # bytes of all bytes


@dataclass(frozen=True)
class Backup:
    """What was kept: how many jobs and videos, in how many bytes; `missing`: videos that are not there."""

    jobs: int
    videos: int
    missing: int
    size: int


@dataclass(frozen=True)
class _File:
    """A file to be kept; `job`: the id of the job whose video it is, if it is one."""

    name: str
    path: Path
    job: str = ""


def back_up(settings: Settings, target: Path, force: bool, on_progress: OnProgress) -> Backup:
    """Write a backup of the settings' data to `target`.

    Raises:
        I2VError: `backup.nothing`: there is no database; `database.*`.
        InvalidRequest, EncodeError: as `archive.writing` does.
    """
    if not settings.database.is_file():
        raise I2VError("backup.nothing", path=shown(str(settings.service.data_dir), limit=300))
    store = JobStore(settings.database, create=False)
    try:
        done, total = 0, 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            on_progress(done, max(total, done))

        with writing(target, KIND, force, count) as writer:
            copy = writer.folder / DATABASE
            store.copy_to(copy)
            jobs, files = _contents(settings, copy)
            total = copy.stat().st_size + sum(_size(each.path) for each in files)
            lost = [each for each in files if not writer.add(each.name, each.path)]
            gone = {job.id for job in jobs} - {job.id for job in store.owned()} if lost else set()
            _forget(copy, gone)
            writer.add(DATABASE, copy)
            writer.manifest = {
                "made_by": version("i2v"),
                "created_at": datetime.now(UTC).isoformat(),
                "jobs": len(jobs) - len(gone),
            }
        videos = sum(name.startswith("videos/") for name in writer.files)
        missing = sum(each.job not in gone for each in lost if each.job)
        return Backup(len(jobs) - len(gone), videos, missing, target.stat().st_size)
    finally:
        store.close()


def video_name(job_id: str) -> str:
    """Return what a job's video is called in an archive."""
    return f"videos/{job_id}.mp4"


def _contents(settings: Settings, copy: Path) -> tuple[list[OwnedFiles], list[_File]]:
    """Return the jobs of a copy of the database, and the files that are to be kept."""
    data = settings.service.data_dir
    with closing(_opened(copy)) as db:
        rows = db.execute("SELECT * FROM jobs").fetchall()
        waiting = db.execute("SELECT picture FROM batch_rows WHERE picture IS NOT NULL").fetchall()
    jobs = [files_of(row) for row in rows]
    succeeded = {row["id"] for row in rows if row["status"] == "succeeded"}
    files = [_File(f"batches/{row[0]}", data / "batches" / row[0]) for row in waiting]
    files += [_File(name, data / name) for name in SECRETS if (data / name).is_file()]
    files += list(_pictures(settings, jobs))
    for job in jobs:
        kept = settings.unpublished / f"{job.id}.frames"
        if kept.is_file():
            files.append(_File(f"unpublished/{kept.name}", kept))
        if job.id in succeeded:
            files.append(_File(video_name(job.id), find_video(job), job.id))
    return jobs, files


def _pictures(settings: Settings, jobs: list[OwnedFiles]) -> Iterator[_File]:
    for name in sorted({name for job in jobs for name in job.inputs}):
        picture = settings.inputs / name
        yield _File(f"inputs/{name}", picture)
        if thumbnail_of(picture).is_file():
            yield _File(f"inputs/{thumbnail_of(picture).name}", thumbnail_of(picture))


def _forget(copy: Path, jobs: set[str]) -> None:
    """Take jobs out of the copy that have been deleted since it was made."""
    with closing(_opened(copy)) as db:
        db.executemany("DELETE FROM jobs WHERE id = ?", [[job] for job in jobs])
        db.commit()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    return connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has gone
        return 0
