"""What a job is, and which way it may go.

Owns the words (status, phase, ending of an attempt) and the records that the store, the worker and the front
ends pass around. Deliberately does not know where jobs are kept, nor what is in a request: it is JSON.

What can happen to a job; "-": nothing, "no": refused with an error, "lost": the worker is told that it has
lost the job. Only the worker that holds the claim, by its owner and its attempt, may do what has a star.

    event                 queued      running                               succeeded   failed, cancelled
    --------------------  ----------  ------------------------------------  ----------  -----------------
    claim                 running     -                                     -           -
    heartbeat *           lost        running                               lost        lost
    finish *              lost        succeeded                             lost        lost
    fail *                lost        failed                                lost        lost
    confirm_cancel *      lost        cancelled if asked for, else lost     lost        lost
    release *             lost        queued; cancelled if asked for        lost        lost
    recover               -           queued; cancelled if asked for;       -           -
                                      failed when its worker died twice
    recover_interrupted   -           queued; cancelled if asked for;       -           -
                                      failed at the 11th interruption
    cancel                cancelled   running, asked to stop                no          no
    retry                 no          no                                    no          queued, at the end
    delete                no          no                                    gone        gone
    trash                 no          no                                    gone        gone

A job that goes back to the queue by `release`, `recover` or `recover_interrupted` keeps its place there. Each
claim is a new attempt, and attempts are never counted anew, so that an old claim cannot fit again. `release`
(the service ends in order) is held against nobody; a death (the worker died or hung while the service lived)
and an interruption (the service found the job running when it started) are counted, each by itself, until
`retry`. `recover_orphans` does what `recover` does, with jobs that it finds itself. What is in the
trash is unknown to all of these but `delete`; `restore` makes it what it was. While the queue is paused,
nothing is claimed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import PlannedMemory
from i2v.core.results import Result
from i2v.core.users import NO_QUOTA, Quota

FinalStatus = Literal["succeeded", "failed", "cancelled"]
JobStatus = Literal["queued", "running", FinalStatus]
StatusFilter = Literal[JobStatus, "finished"]  # the last: whatever came of them
SortOrder = Literal["newest", "oldest", "starred"]  # the last: those with a star first
Phase = Literal[
    "queued", "loading", "conditioning", "denoising", "decoding", "upscaling", "interpolating", "encoding"
]
Ending = Literal[FinalStatus, "released", "died", "interrupted"]
JsonObject = dict[str, object]

MAX_DEATHS = 2  # the second fails the job: it is what kills the worker
MAX_INTERRUPTIONS = 10  # the next one fails the job: it may be what takes the machine down
MAX_HISTORY = 10  # attempts that are remembered
# Of the names of a sound, and of a clip to be enhanced, among a job's inputs; all others are pictures.
SOUND_SUFFIX, CLIP_SUFFIX = ".sound", ".clip"


class JobLost(Exception):
    """The job is not, or no longer, the claim's: stop working on it, and publish nothing."""


class OutputTaken(Exception):
    """Another job owns the path of the output: choose another one."""


def is_sound(name: str) -> bool:
    """Tell whether a file of a job's inputs is a sound, by its name."""
    return name.endswith(SOUND_SUFFIX)


def is_clip(name: str) -> bool:
    """Tell whether a file of a job's inputs is a clip that another one is made of, by its name."""
    return name.endswith(CLIP_SUFFIX)


def new_job_id() -> str:
    """Return an id that nobody can guess and that stands in a URL or a file name as it is."""
    return secrets.token_hex(16)


def key_of(user: str | None, idempotency_key: str | None) -> str | None:
    """Return what an idempotency key is stored as: each user has keys of their own."""
    return idempotency_key if user is None or idempotency_key is None else f"{user}\n{idempotency_key}"


@dataclass(frozen=True)
class Place:
    """Where a job stands in a batch, and what people call it there: its picture's name.

    number: of the row that it was; `None`: a new row, behind the last one.
    """

    batch: str
    name: str
    number: int | None = None


@dataclass(frozen=True)
class Submission:
    """A job to be.

    Attributes:
        input: name of the picture's file, which lies in the service's folder of inputs already.
        other_inputs: the same of the pictures besides it, in the order of `Generation.inputs`; then of the
            sound, if there is one. With `Generation.source`: of the clip that is enhanced or made longer, and
            nothing else.
        output: absolute path of the video, which belongs to this job from now on.
        fingerprint: digest of what was asked for, the picture included.
        plan: `None` where nobody has planned.
        idempotency_key: a submission that has the key and the fingerprint of an earlier one of the same user
            is that one.
        webhook: who is told what becomes of the job, as JSON that `deliveries` reads.
        request_id: of the HTTP request that it came by; lines of the log have it.
        user: the name of who asks for it; `None` where there are no users.
        quota: what that user may have.
        wanted_device: the id of the one that it is to run on; `None` for any.
        needed_bytes: what has to be free on a device for it to fit there; `None` where that is not known.
        picture_name: of the picture's file, as whoever sent it calls it; "" where that is not known.
    """

    request: JsonObject
    generation: Generation
    notices: tuple[Notice, ...]
    input: str
    output: str
    fingerprint: str
    idempotency_key: str | None = None
    plan: PlannedMemory | None = None
    other_inputs: tuple[str, ...] = ()
    place: Place | None = None
    webhook: str | None = None
    request_id: str | None = None
    user: str | None = None
    quota: Quota = NO_QUOTA
    wanted_device: str | None = None
    needed_bytes: int | None = None
    picture_name: str = ""
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True)
class Progress:
    """How far the worker is: `fraction` of the whole job, 0 to 1; `step` of `total` in this phase.

    `preview` is a small picture in any format; `None` leaves the last one.
    """

    phase: Phase
    fraction: float
    step: int | None = None
    total: int | None = None
    eta_seconds: float | None = None
    preview: bytes | None = None


@dataclass(frozen=True)
class PastAttempt:
    """A past attempt at a job. Times are seconds since 1970; `error` is what it failed of."""

    attempt: int
    ending: Ending
    started_at: float
    ended_at: float
    error: JsonObject | None


@dataclass(frozen=True)
class Job:
    """A job at one moment. Times are seconds since 1970 and never run backwards within a job.

    Attributes:
        generation: `None` where it cannot be read, as another version wrote it, or a disk has damaged it. A
            notice says so then (`job.unreadable`).
        plan: how it was planned at its submission; `None` where that is not known.
        revision: the store's counter when the job last changed. It grows, but compare for equality: a power
            cut may take the last ones back.
        preview_revision: the same for its preview; `None` where there is none.
        queue_position: how many jobs are running or queued before it; `None` unless it is queued.
        phase: the last one, where the job is finished.
        batch: the id of the batch that it belongs to, if any.
        started_at: of the last attempt; `None` while it is queued.
        starred: somebody wants to keep it: it is never deleted by itself.
        deleted_at: when it was put into the trash; `None` where it was not.
        history: attempts that have ended, the last `MAX_HISTORY` of them.
        request_id, user, wanted_device, picture_name: see `Submission`.
        owner: the worker that runs it; `None` unless it is running.
        device: the id of the one that it runs on, or ran on last.
        tags: words that people have given it, in the order of the alphabet; see `library.tag_of`.
    """

    id: str
    revision: int
    status: JobStatus
    request: JsonObject
    generation: Generation | None
    plan: PlannedMemory | None
    notices: tuple[Notice, ...]
    input: str
    other_inputs: tuple[str, ...]
    output: str
    phase: Phase
    progress: float
    step: int | None
    total: int | None
    eta_seconds: float | None
    preview_revision: int | None
    queue_position: int | None
    owner: str | None
    attempt: int
    deaths: int
    interruptions: int
    cancel_requested: bool
    result: Result | None
    error: JsonObject | None
    history: tuple[PastAttempt, ...]
    created_at: float
    started_at: float | None
    finished_at: float | None
    starred: bool = False
    deleted_at: float | None = None
    batch: str | None = None
    request_id: str | None = None
    user: str | None = None
    wanted_device: str | None = None
    device: str | None = None
    picture_name: str = ""
    tags: tuple[str, ...] = ()

    @property
    def video_frames(self) -> int:
        """How many frames its video has, or is to have; 0 where that is not known."""
        if self.result is not None:
            return self.result.video_frames
        return 0 if self.generation is None else self.generation.video_frames

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all files that it was given."""
        return (self.input, *self.other_inputs)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of its pictures' files."""
        return tuple(name for name in self.inputs if not is_sound(name) and not is_clip(name))

    @property
    def track(self) -> str | None:
        """The name of its sound's file; `None` where there is none."""
        return next(filter(is_sound, self.inputs), None)


@dataclass(frozen=True)
class OwnedFiles:
    """What a job owns on the disk, and what tells how long it is kept: the names of `Job`."""

    id: str
    inputs: tuple[str, ...]
    output: str
    finished_at: float | None
    starred: bool = False
    deleted_at: float | None = None


@dataclass(frozen=True)
class Claim:
    """The right to work on a job, and the job as it was when it was claimed."""

    job: Job
    owner: str

    @property
    def generation(self) -> Generation:
        """What is to be run: the store lets nobody claim a job of which that cannot be read."""
        assert self.job.generation is not None
        return self.job.generation


@dataclass(frozen=True)
class Filters:
    """Which jobs a page has, and in which order.

    Attributes:
        starred: those with a star alone.
        engine: the name of the one that they are for; "" for any.
        tag: one that they have; "" for any.
        since, until: when they were submitted, in seconds since 1970, both included; `None` for any time.
        deleted: those in the trash, and no others.
        user: the name of whose they are; "" for anybody's.
    """

    starred: bool = False
    engine: str = ""
    since: float | None = None
    until: float | None = None
    deleted: bool = False
    order: SortOrder = "newest"
    user: str = ""
    tag: str = ""


ALL = Filters()


@dataclass(frozen=True)
class JobPage:
    """Some jobs in their order; `next_cursor` asks for those that follow, `None` where there are none."""

    jobs: tuple[Job, ...]
    next_cursor: str | None
