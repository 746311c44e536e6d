"""A job of another installation, as JSON that nothing is believed of, and its row here.

Owns what is carried over: what was asked for, what came of it, when, whose it was, its star and tags, and
what its picture is called. Left behind are device, batch, webhook, idempotency key and request id. Nothing is
written to the outbox: nobody is told of an old job as of a new one. Deliberately does not know files: who
brings a job in says where they are.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from i2v.core.errors import InvalidRequest, read_notices
from i2v.core.file_names import picture_name
from i2v.core.generation import Generation
from i2v.core.memory_plan import PlannedMemory
from i2v.core.results import Result
from i2v.core.stored import read_as
from i2v.core.users import MAX_NAME
from i2v.jobs.database import Database
from i2v.jobs.library import MAX_TAGS, tag_of
from i2v.jobs.model import FinalStatus, Job, JsonObject, OutputTaken, PastAttempt, Phase
from i2v.jobs.rows import dump
from i2v.jobs.table import NEXT, counted, get_job

FINGERPRINT = "imported"  # of what was asked for elsewhere; compared only where there is an idempotency key
MAX_INPUTS = 100  # pictures of one job; a request takes fewer
MAX_NUMBER = 2**31 - 1  # of frames, pixels, steps, attempts
MAX_SECONDS = 253_402_300_799.0  # since 1970: the end of the year 9999, the last that dates are written of


@dataclass(frozen=True)
class PortableJob:
    """A job that has ended, without what only its own installation knows.

    Attributes:
        inputs: keys of its pictures, the first one of the image.
        output: the name of its video, without a folder.
        result: JSON of a `Result`; `None` unless it succeeded.
        error: {code, params, message}; `None` unless it failed.
    """

    id: str
    status: FinalStatus
    request: JsonObject
    generation: Generation
    inputs: tuple[str, ...]
    output: str
    created_at: float
    finished_at: float
    started_at: float | None = None
    plan: PlannedMemory | None = None
    notices: tuple[JsonObject, ...] = ()
    phase: Phase = "queued"
    progress: float = 0.0
    step: int | None = None
    total: int | None = None
    attempt: int = 0
    result: JsonObject | None = None
    error: JsonObject | None = None
    history: tuple[PastAttempt, ...] = ()
    starred: bool = False
    owner: str | None = None
    tags: tuple[str, ...] = ()
    picture_name: str = ""

    @classmethod
    def of(cls, job: Job) -> PortableJob:
        """Raises `ValueError`: it has not ended, or cannot be read."""
        if job.finished_at is None or job.generation is None:
            raise ValueError(f"it is {job.status}, or cannot be read")
        return cls(
            id=job.id,
            status=cast("FinalStatus", job.status),
            request=job.request,
            generation=job.generation,
            inputs=job.inputs,
            output=Path(job.output).name,
            created_at=job.created_at,
            finished_at=job.finished_at,
            started_at=job.started_at,
            plan=job.plan,
            notices=tuple(notice.to_dict() for notice in job.notices),
            phase=job.phase,
            progress=job.progress,
            step=job.step,
            total=job.total,
            attempt=job.attempt,
            result=None if job.result is None else job.result.to_dict(),
            error=job.error,
            history=job.history,
            starred=job.starred,
            owner=job.user,
            tags=job.tags,
            picture_name=job.picture_name,
        )

    @classmethod
    def read(cls, value: object) -> PortableJob:
        """Return what parsed JSON says; raise `ValueError` where no job can be like that."""
        job = read_as(cls, value)
        if not re.fullmatch(r"[0-9a-f]{32}", job.id):
            raise ValueError(f"{job.id!r} is no id")
        job._check_numbers()
        if (job.result is None) == (job.status == "succeeded") or (job.error is None) == (
            job.status == "failed"
        ):
            raise ValueError("its result, or its error, does not go with its status")
        if job.error is not None and not all(
            isinstance(job.error.get(key), str) for key in ("code", "message")
        ):
            raise ValueError("its error has no code and message")
        if job.owner is not None and not (0 < len(job.owner) <= MAX_NAME and job.owner.isprintable()):
            raise ValueError("its owner is no name")
        read_notices(list(job.notices))
        job.result_at(Path("x"))
        return replace(job, tags=_tags(job.tags), picture_name=picture_name(job.picture_name))

    def _check_numbers(self) -> None:
        """Raise `ValueError` for numbers that a job cannot have, and that others would stumble over."""
        made = self.generation
        counts = [made.num_frames, made.fps, made.width, made.height, self.total or 1, len(self.inputs)]
        counts += [max(1, each) for each in (self.attempt, self.step or 0)]
        times = [self.created_at, self.finished_at, self.started_at or 0.0]
        times += [time for each in self.history for time in (each.started_at, each.ended_at)]
        if (
            not all(1 <= each <= MAX_NUMBER for each in counts)
            or not all(0 <= each <= MAX_SECONDS for each in times)
            or not 0 <= self.progress <= 1
            or self.attempt < 0
            or len(self.inputs) > MAX_INPUTS
        ):
            raise ValueError("its numbers are none that a job has")

    def result_at(self, path: Path) -> Result | None:
        """Return its result with the video at `path`; raise `ValueError` where it cannot be read."""
        if self.result is None:
            return None
        return replace(Result.from_dict(self.result, self.generation), path=path)

    def is_same(self, job: Job) -> bool:
        """Tell whether `job`, which has the same id here, is this one."""
        return (job.created_at, job.request) == (self.created_at, self.request)

    def renamed(self) -> PortableJob:
        """Return the job with the id that it has where its own is another job's: the same each time."""
        told = dump([self.id, self.created_at, self.request])
        return replace(self, id=hashlib.sha256(told.encode()).hexdigest()[:32])


def _tags(given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        tags = tuple(sorted({tag_of(tag) for tag in given}))
    except InvalidRequest as error:
        raise ValueError(error.message) from error
    if len(tags) > MAX_TAGS:
        raise ValueError("it has too many tags")
    return tags


class Imports:
    """The part of a `JobStore` that takes in jobs of other installations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, job: PortableJob, inputs: tuple[str, ...], output: Path, publish: Callable[[], None]
    ) -> bool:
        """Put the job into the table as the newest one; return whether it was not there yet.

        Args:
            inputs: the names of its pictures' files, which are there.
            output: the path that its video has from now on.
            publish: called in the transaction, so that the video is there when the job is; what it raises
                undoes the job.
        Raises:
            OutputTaken: another job owns the path.
        """
        with counted(self._database) as db:
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", [job.id]).fetchone():
                return False
            if db.execute("SELECT 1 FROM jobs WHERE output = ? COLLATE NOCASE", [str(output)]).fetchone():
                raise OutputTaken(str(output))
            _insert(db, job, inputs, output)
            publish()
            return True

    def find(self, job_id: str) -> Job | None:
        """Return the job with this id, in the trash or not."""
        with self._database.read() as db:
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", [job_id]).fetchone() is None:
                return None
            return get_job(db, job_id, deleted=True)


def _insert(db: sqlite3.Connection, job: PortableJob, inputs: tuple[str, ...], output: Path) -> None:
    result = job.result_at(output)
    values: dict[str, object] = {
        "id": job.id,
        "fingerprint": FINGERPRINT,
        "request": dump(job.request),
        "generation": dump(asdict(job.generation)),
        "plan": None if job.plan is None else dump(asdict(job.plan)),
        "notices": dump(job.notices),
        "input": inputs[0],
        "other_inputs": dump(inputs[1:]),
        "output": str(output),
        "status": job.status,
        "attempt": job.attempt,
        "phase": job.phase,
        "progress": job.progress,
        "step": job.step,
        "total": job.total,
        "result": None if result is None else dump(result.to_dict()),
        "error": None if job.error is None else dump(job.error),
        "history": dump([asdict(attempt) for attempt in job.history]),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "starred": job.starred,
        "user": job.owner,
        "tags": dump(job.tags),
        "picture_name": job.picture_name,
    }
    names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    db.execute(
        f"INSERT INTO jobs (seq, place, revision, {names}) VALUES ({NEXT}, {NEXT}, {NEXT}, {places})", values
    )
