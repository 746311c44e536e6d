"""Following a job: what changed in the store, as it changes, and as server-sent events.

A connection may end at any time, and who comes back only has the id of the last event that arrived. So the id
says what was told, and what differs from that is told next. Deliberately does not know what is in a job's
JSON.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

import anyio
from anyio.to_thread import run_sync

from i2v.core.errors import InvalidRequest
from i2v.jobs.model import FinalStatus, Job, JsonObject
from i2v.service.service import Service

POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 15.0  # proxies give up on silent connections after a minute or so


def is_final(job: Job) -> bool:
    return job.status in get_args(FinalStatus)


async def watch(
    service: Service, job_id: str, closing: threading.Event, poll: float = POLL_SECONDS
) -> AsyncGenerator[Job | None]:
    """Yield the job now and after each change of the store, `None` in between; end when it is finished.

    Also ends when the service closes (`closing`), and when the job was deleted.
    """
    revision = None
    while not closing.is_set():
        now = await run_sync(service.revision)
        if now == revision:
            yield None
        else:
            revision = now
            try:
                job = await run_sync(service.get, job_id)
            except InvalidRequest:
                return
            yield job
            if is_final(job):
                return
        await anyio.sleep(poll)


@dataclass(frozen=True)
class Seen:
    """What of a job a client knows: its revision, its place in the queue, its preview; 0 for none."""

    revision: int = 0
    position: int = 0
    preview: int = 0

    @classmethod
    def parse(cls, event_id: str | None) -> Seen:
        """Return what an event's id says; of a strange one, nothing."""
        match = re.fullmatch(r"(\d{1,18})-(\d{1,18})-(\d{1,18})", event_id or "", re.ASCII)
        return cls(*map(int, match.groups())) if match else cls()

    def __str__(self) -> str:
        return f"{self.revision}-{self.position}-{self.preview}"

    def knows(self, job: Job) -> bool:
        """Tell whether nothing of `job` is new."""
        return self == Seen(job.revision, job.queue_position or 0, job.preview_revision or self.preview)


def changes(
    seen: Seen, before: Job | None, job: Job, describe: Callable[[Job], str], preview_url: str
) -> Iterator[tuple[Seen, bytes]]:
    """Yield the events that tell a client what is new, each with what is known after it.

    Args:
        before: the job as this connection sent it last, `None` at its beginning.
        describe: gives the job's JSON.
    """
    if (seen.revision, seen.position) != (job.revision, job.queue_position or 0):
        seen = replace(seen, revision=job.revision, position=job.queue_position or 0)
        if before is None or _state(before) != _state(job):
            yield seen, _event("state", seen, describe(job))
        else:
            yield seen, _event("progress", seen, json.dumps(_progress(job)))
    if job.preview_revision not in (None, seen.preview):
        seen = replace(seen, preview=job.preview_revision or 0)
        data = {"url": f"{preview_url}?revision={seen.preview}", "revision": seen.preview}
        yield seen, _event("preview", seen, json.dumps(data))


def _state(job: Job) -> tuple[object, ...]:
    return job.status, job.phase, job.attempt, job.error, job.notices


def _progress(job: Job) -> JsonObject:
    names = ("phase", "progress", "step", "total", "eta_seconds", "queue_position")
    return {name: getattr(job, name) for name in names}


def _event(name: str, seen: Seen, data: str) -> bytes:
    return f"event: {name}\nid: {seen}\ndata: {data}\n\n".encode()


async def event_stream(
    jobs: AsyncIterator[Job | None],
    seen: Seen,
    describe: Callable[[Job], str],
    preview_url: str,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield server-sent events of what `watch` yields, and a comment where nothing else was sent for long."""
    before: Job | None = None
    last_word = time.monotonic()
    async for job in jobs:
        if job is not None:
            # In a thread: to describe a job is to look at its video, and a disk may not answer.
            news = await run_sync(list, changes(seen, before, job, describe, preview_url))
            for known, event in news:
                yield event
                seen, last_word = known, time.monotonic()
            before = job
        elif time.monotonic() - last_word > heartbeat:
            yield b": still here\n\n"
            last_word = time.monotonic()
