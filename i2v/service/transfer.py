"""Jobs go from one installation to another: `export_jobs` writes them with their files, `import_jobs` takes
them in.

The service may run meanwhile, at either end. What is read is a stranger's: all of it is checked before
anything is written, pictures are read again in the limited process, and no name in the archive becomes a
path. A job comes in whole, video included, or not at all; taking the same archive in again adds what is
missing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.settings import Settings
from i2v.core.stored import parse_json
from i2v.host import data_folder
from i2v.host.archive import Reader, reading, writing
from i2v.jobs.imported import PortableJob
from i2v.jobs.model import SOUND_SUFFIX, Job, OutputTaken, is_clip, is_sound, new_job_id
from i2v.jobs.rows import dump
from i2v.jobs.store import JobStore
from i2v.media.audio.files import SoundLimits, keep_sound
from i2v.media.decoder import decode_to_file, thumbnail_of
from i2v.media.image import ImageLimits
from i2v.media.outputs import OutputFile, publish
from i2v.service.backup import OnProgress, video_name
from i2v.service.inputs import SUFFIX
from i2v.service.job_files import examine_video, find_video

KIND = "i2v-jobs"
MAX_JOB = 2**22  # bytes of a job's JSON
MAX_PICTURE = 10**9  # bytes; what is kept of one has fewer
MAX_JOBS = 100_000
# of what was let in somewhere already
_LIMITS = ImageLimits(max_bytes=MAX_PICTURE, max_pixels=400_000_000)
_SOUND_LIMITS = SoundLimits(MAX_PICTURE, 3600)
_AT_ONCE = 200  # jobs that are read at a time


@dataclass(frozen=True)
class Exported:
    """How many jobs are in the archive, with how many videos, and how many of these are not there."""

    jobs: int
    videos: int
    missing: int


@dataclass(frozen=True)
class Imported:
    """How many jobs are new, and how many were there already."""

    added: int
    present: int


def export_jobs(
    settings: Settings, job_ids: Sequence[str] | None, target: Path, force: bool, on_progress: OnProgress
) -> Exported:
    """Write the jobs with these ids to `target`; `None`: all that have ended and are not in the trash.

    Raises:
        InvalidRequest: `job.unknown`, `job.not_finished`, `export.unreadable`; as `archive.writing` does.
        I2VError: `database.*`, `archive.not_written`.
    """
    store = JobStore(settings.database, create=False)
    try:
        jobs = (
            list(_ended(store))
            if job_ids is None
            else [store.get(job_id) for job_id in dict.fromkeys(job_ids)]
        )
        for job in jobs:
            if job.finished_at is None:
                raise InvalidRequest("job.not_finished", id=job.id, status=job.status)
            if job.generation is None:
                raise InvalidRequest("export.unreadable", id=job.id)
        videos = {job.id: find_video(job) for job in jobs if job.status == "succeeded"}
        total = sum(path.stat().st_size for path in videos.values() if path.is_file())
        done = missing = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            on_progress(done, max(total, done))

        with writing(target, KIND, force, count) as writer:
            for job in jobs:
                details = writer.folder / "job.json"
                details.write_text(dump(asdict(PortableJob.of(job))))
                writer.add(f"jobs/{job.id}.json", details)
                for name in job.inputs:
                    if is_clip(name):  # what was made of it is there
                        continue
                    if f"inputs/{name}" not in writer.files:
                        writer.add(f"inputs/{name}", settings.inputs / name)
                if job.id in videos and not writer.add(video_name(job.id), videos[job.id]):
                    missing += 1
        return Exported(len(jobs), len(videos) - missing, missing)
    finally:
        store.close()


def import_jobs(settings: Settings, source: Path, on_progress: OnProgress) -> Imported:
    """Take the jobs of an archive in; those that are here already stay as they are.

    Raises:
        InvalidRequest: `archive.*`: nothing was changed; `image.*`: a picture is none, and its job and all
            behind it are not here.
        I2VError: `data.*`, `database.*`, `output.*`.
    """
    with reading(source, KIND) as archive:
        total = archive.size
        total += sum(entry.size for name, entry in archive.files.items() if not name.startswith("jobs/"))
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            on_progress(done, total)

        archive.check(count)
        jobs = _jobs(archive)
        data_folder.prepare(settings.service.data_dir)
        store = JobStore(settings.database, create=not settings.database.exists())
        try:
            taking = _Taking(settings, archive, store, count)
            added = sum(taking.take(job) for job in jobs)
        finally:
            store.close()
        return Imported(added, len(jobs) - added)


def _ended(store: JobStore) -> Iterator[Job]:
    """Yield all jobs that have ended and can be read, the oldest first."""
    after: str | None = None
    while found := store.after(after, _AT_ONCE, oldest_first=True):
        yield from (job for job in found if job.finished_at is not None and job.generation is not None)
        after = found[-1].id


def _jobs(archive: Reader) -> list[PortableJob]:
    """Return the jobs of an archive, the oldest first; raise unless all of it is what an export has."""
    jobs: dict[str, PortableJob] = {}
    for name in archive.files:
        if name.startswith("jobs/"):
            try:
                job = PortableJob.read(parse_json(archive.read(name, MAX_JOB).decode("utf-8")))
            except ValueError as error:
                raise archive.damaged(f"{name}: {error}") from error
            if name != f"jobs/{job.id}.json":
                raise archive.damaged(f"{name} is another job's")
            jobs[job.id] = job
    inputs = {f"inputs/{name}" for job in jobs.values() for name in job.inputs}
    videos = {video_name(job.id) for job in jobs.values() if job.status == "succeeded"}
    known = inputs | videos | {f"jobs/{job}.json" for job in jobs}
    if strange := next((name for name in archive.files if name not in known), None):
        raise archive.damaged(f"{strange} belongs to no job")
    if len(jobs) > MAX_JOBS:
        raise archive.damaged(f"it has more than {MAX_JOBS} jobs")
    return sorted(jobs.values(), key=lambda job: job.created_at)


class _Taking:
    """One archive, and where its jobs go."""

    def __init__(
        self, settings: Settings, archive: Reader, store: JobStore, on_bytes: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._store = store
        self._on_bytes = on_bytes
        self._inputs: dict[str, str] = {}  # by their names there, those here

    def take(self, job: PortableJob) -> bool:
        """Take the job in with its files, unless it is here; return whether it was not."""
        name = video_name(job.id)
        here = self._store.imports.find(job.id)
        if here is not None and not job.is_same(here):
            job = job.renamed()
            here = self._store.imports.find(job.id)
        if here is not None:
            return False
        inputs = tuple(self._input(name) for name in job.inputs if not is_clip(name))
        outputs = self._settings.output.directory.absolute()
        outputs.mkdir(parents=True, exist_ok=True)
        part = outputs / f".{secrets.token_hex(16)}.part.mp4"
        try:
            has_video = name in self._archive.files
            if has_video:
                self._archive.unpack(name, part, self._on_bytes, mode=0o666)
                problem, reason = examine_video(part)
                if problem is not None:
                    raise self._archive.damaged(f"{name}: {reason}")
            return self._add(job, inputs, part if has_video else None)
        finally:
            part.unlink(missing_ok=True)

    def _add(self, job: PortableJob, inputs: tuple[str, ...], part: Path | None) -> bool:
        """Add the job under the first name of its video that neither a file nor a job has here."""
        for path in self._candidates(job):
            if path.exists():
                continue
            published: list[Path] = []

            def publish_it(path: Path = path, published: list[Path] = published) -> None:
                if part is not None:
                    published.append(publish(part, OutputFile(path)))

            try:
                return self._store.imports.add(job, inputs, path, publish_it)
            except OutputTaken:
                continue
            except BaseException as error:
                for each in published:  # the job is not there
                    each.unlink(missing_ok=True)
                if isinstance(error, InvalidRequest) and error.code == "output.exists":
                    continue  # somebody else was faster
                raise
        raise AssertionError("names do not end")

    def _candidates(self, job: PortableJob) -> Iterator[Path]:
        stem = Path(job.output).stem
        fits = stem.isprintable() and 0 < len(stem.encode()) < 200 and not re.match(r"\.|.*[/\\]", stem)
        folder = self._settings.output.directory.absolute()
        stem = stem if fits else f"video_{job.id[:8]}"
        yield folder / f"{stem}.mp4"
        number = 1
        while True:
            number += 1
            yield folder / f"{stem}_{number}.mp4"

    def _input(self, name: str) -> str:
        """Return the name that a picture or a sound has here, read again as if somebody had sent it.

        It is its own, so that no service takes it away with the last job that shares it.
        """
        if name not in self._inputs:
            new, suffix = new_job_id(), SOUND_SUFFIX if is_sound(name) else SUFFIX
            if f"inputs/{name}" in self._archive.files:
                part = self._settings.inputs / f"{new}-import.part"  # its thumbnail has a name of its own
                try:
                    data = self._archive.read(f"inputs/{name}", MAX_PICTURE)
                    self._on_bytes(len(data))
                    file = self._settings.inputs / f"{new}{suffix}"
                    if is_sound(name):
                        keep_sound(data, _SOUND_LIMITS, part)
                    else:
                        decode_to_file(data, _LIMITS, part)
                        thumbnail_of(part).replace(thumbnail_of(file))
                    part.replace(file)
                finally:
                    for left in (part, thumbnail_of(part)):
                        with suppress(FileNotFoundError):
                            left.unlink()
            self._inputs[name] = f"{new}{suffix}"
        return self._inputs[name]
