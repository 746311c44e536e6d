"""The data becomes what a backup says: all of it is checked first, and nothing is ever half replaced.

Videos go to the folder of the settings, under their names where these are free, and never over another file;
one that lies there already is taken as it is. All else is made whole beside the data and takes its place in
steps that any start finishes (`host.restored`).
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.settings import Settings
from i2v.host import data_folder, restored
from i2v.host.archive import OnBytes, Reader, reading
from i2v.host.data_folder import SECRETS
from i2v.host.service_lock import hold
from i2v.jobs.migrations import MIGRATIONS
from i2v.media.outputs import OutputFile, publish
from i2v.service.backup import DATABASE, KIND, OnProgress, video_name
from i2v.service.job_files import hidden_name

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}"
_KNOWN = re.compile(
    rf"{re.escape(DATABASE)}|{'|'.join(SECRETS)}|(inputs|batches|unpublished)/{_NAME}|videos/[0-9a-z-]{{1,64}}\.mp4"
)


@dataclass(frozen=True)
class Restored:
    """What is there again: jobs, and how many of their videos."""

    jobs: int
    videos: int


def restore(settings: Settings, source: Path, replace: bool, on_progress: OnProgress) -> Restored:
    """Make the data of the settings what it was at the backup.

    replace: also where there is a database; all of it goes to the trash of the data folder.

    Raises:
        InvalidRequest: `archive.*`; `restore.data_exists`. Nothing was changed.
        I2VError: `server.data_in_use`: a service runs; `data.*`, `database.*`.
    """
    with reading(source, KIND) as archive:
        strange = next((name for name in archive.files if not _KNOWN.fullmatch(name)), None)
        if strange is not None or DATABASE not in archive.files:
            raise archive.damaged(
                f"{strange or DATABASE} does not belong there" if strange else "no database"
            )
        done, total = 0, 2 * archive.size

        def count(more: int) -> None:
            nonlocal done
            done += more
            on_progress(done, total)

        archive.check(count)
        folder = settings.service.data_dir
        data_folder.prepare(folder)
        with hold(folder, (), None):
            restored.finish(folder)
            if settings.database.exists() and not replace:
                raise InvalidRequest("restore.data_exists", path=shown(str(folder), limit=300))
            try:
                found = _fill(archive, restored.begin(folder), settings.output.directory, count)
                restored.commit(folder)
            except OSError as error:
                raise data_folder.unusable(Path(error.filename or folder), error) from error
            finally:
                restored.give_up(folder)
        return found


@dataclass(frozen=True)
class _Video:
    """A video of the archive, and the path that it is to have."""

    name: str
    path: Path


def _fill(archive: Reader, part: Path, outputs: Path, on_bytes: OnBytes) -> Restored:
    """Make the data whole in the folder `part`, and put the videos into `outputs`, or leave none there."""
    for name in archive.files:
        if not name.startswith("videos/"):
            archive.unpack(name, part / name, on_bytes)
    jobs, videos = _adapt(archive, part / DATABASE, outputs)
    placed: list[Path] = []
    try:
        for video in videos:
            placed += _place(archive, video, on_bytes)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise
    return Restored(jobs, len(videos))


def _adapt(archive: Reader, database: Path, outputs: Path) -> tuple[int, list[_Video]]:
    """Let the jobs of the unpacked database own paths in `outputs`.

    Returns how many those are, and where their videos are to go.
    """
    try:
        with closing(sqlite3.connect(database)) as db:
            _check(archive, db)
            videos = _rename(archive, db, outputs)
            return db.execute("SELECT count(*) FROM jobs").fetchone()[0], videos
    except sqlite3.DatabaseError as error:
        raise archive.damaged(f"{DATABASE}: {error}") from error


def _check(archive: Reader, db: sqlite3.Connection) -> None:
    """Raise unless the database is whole, of a known version, and names no file outside of its folders."""
    (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    known = MIGRATIONS[-1].version
    if state != "ok" or not version:
        raise archive.damaged(f"{DATABASE}: {state if state != 'ok' else 'it has no tables'}")
    if version > known:
        raise I2VError("database.newer", path=DATABASE, found=version, known=known)
    names = [row[0] for row in db.execute("SELECT input FROM jobs UNION ALL SELECT id FROM jobs")]
    names += [
        row[0]
        for row in db.execute(
            "SELECT value FROM jobs, json_each(iif(json_valid(other_inputs), other_inputs, '[]'))"
        )
    ]
    names += [row[0] for row in db.execute("SELECT picture FROM batch_rows WHERE picture IS NOT NULL")]
    if wrong := next((name for name in names if not re.fullmatch(_NAME, str(name))), None):
        raise archive.damaged(f"{DATABASE}: {wrong!r} is no picture's or job's name")


def _rename(archive: Reader, db: sqlite3.Connection, outputs: Path) -> list[_Video]:
    rows = db.execute("SELECT seq, id, output, deleted_at FROM jobs ORDER BY seq").fetchall()
    taken: set[str] = set()
    videos: list[_Video] = []
    db.execute("UPDATE jobs SET output = 'restoring ' || id")  # so that no new path is another's old one
    for seq, job, output, deleted_at in rows:
        name = video_name(job)
        has_video = name in archive.files
        hidden = outputs.absolute() / hidden_name(job)
        path = _free_path(archive, name if has_video and deleted_at is None else None, outputs, output, taken)
        taken.add(path.name.lower())
        if has_video:
            videos.append(_Video(name, path if deleted_at is None else hidden))
        db.execute(
            """UPDATE jobs SET output = :path,
                   result = iif(json_valid(result), json_set(result, '$.path', :path), result)
               WHERE seq = :seq""",
            {"path": str(path), "seq": seq},
        )
    db.commit()
    return videos


def _free_path(archive: Reader, video: str | None, outputs: Path, old: str, taken: set[str]) -> Path:
    """Return the path of a job's video: its old name, or the next one that neither a job nor a file has.

    video: what the archive has it under, where it is to be there: a file that is the same is no obstacle.
    """
    stem = Path(old).stem
    stem = stem if stem.isprintable() and 0 < len(stem.encode()) < 200 else "video"
    number = 1
    while True:
        path = outputs.absolute() / (f"{stem}.mp4" if number == 1 else f"{stem}_{number}.mp4")
        is_there = os.path.lexists(path)
        is_it = is_there and video is not None and archive.files[video].is_of(path)
        if path.name.lower() not in taken and (is_it or not is_there):
            return path
        number += 1


def _place(archive: Reader, video: _Video, on_bytes: OnBytes) -> list[Path]:
    """Write a video under its name; return it, unless it is there already."""
    if os.path.lexists(video.path):
        return []  # it is the same, or a hidden one, whose name is the job's alone
    video.path.parent.mkdir(parents=True, exist_ok=True)
    part = video.path.with_name(f".{secrets.token_hex(16)}.part.mp4")
    try:
        archive.unpack(video.name, part, on_bytes, mode=0o666)
        return [publish(part, OutputFile(video.path))]
    finally:
        part.unlink(missing_ok=True)
