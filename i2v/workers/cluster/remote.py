"""A clip that an actor makes, as the service follows it: events on the way, then a file in pieces.

Owns what is compared, so that nothing is taken for whole that is not: a stream without a last word means that
the actor is lost, also where Ray raises nothing. The video is published here, once, and only as long as the
job is still this attempt's.
"""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from i2v.core.errors import Cancelled, InvalidRequest, Notice
from i2v.core.results import Result
from i2v.core.settings import WorkerSettings
from i2v.jobs.model import JobLost, is_sound
from i2v.media.outputs import OutputFile, part_path, prepare_output, publish
from i2v.media.unpublished import FrameRecorder
from i2v.media.video.failures import write_error
from i2v.workers.cluster.node import Leaving
from i2v.workers.cluster.wire import PIECE_BYTES, FileFacts, Made, Message, NotMade, Said
from i2v.workers.maker import GivenBack, Order, Reports, WorkerLost

TICK_SECONDS = 0.2  # how late a cancel, or the end of the service, is noticed, at most
ASK_SECONDS = 1.0  # between two looks at the job and at the actor's machine, while no event comes


class Call(Protocol):
    """An actor's `make` under way."""

    def next(self, seconds: float) -> Message | None:
        """Return its next message, `None` where none has come in time.

        Raises `WorkerLost`, and `StopIteration` at the end of the stream.
        """
        ...


class Handle(Protocol):
    """An actor, as `ray_handle` has it; every method raises `WorkerLost` where it cannot be reached."""

    def make(self, order: Order, inputs: list[bytes]) -> Call: ...

    def stop(self, job_id: str) -> None: ...

    def read(self, kind: str, offset: int, size: int) -> bytes: ...

    def forget(self) -> None: ...

    def leaving(self) -> Leaving: ...


class RemoteMaker:
    """A `workers.maker.Maker` whose clips an actor makes. `is_stopping`: the service ends."""

    def __init__(self, handle: Handle, options: WorkerSettings, is_stopping: Callable[[], bool]) -> None:
        self._handle = handle
        self._options = options
        self._is_stopping = is_stopping
        self._is_fit = True

    def make(self, order: Order, recorder: FrameRecorder, reports: Reports) -> Result:
        inputs = [_read(path, order) for path in order.inputs]
        sent = replace(
            order,
            job_id=f"{order.tag}-{secrets.token_hex(4)}",  # its id opens the job; `stop` is for one attempt
            inputs=tuple(Path(f"input{path.suffix}") for path in order.inputs),
            output=Path("clip.mp4"),
        )
        call = self._handle.make(sent, inputs)
        try:
            ended = self._follow(call, reports)
        except (Cancelled, JobLost):
            self._stop(call, sent.job_id)
            raise
        self._is_fit &= ended.is_fit
        if isinstance(ended, NotMade):
            self._keep(ended, recorder)
            raise ended.error
        self._publish(ended, order.output, reports)
        self._handle.forget()
        return replace(ended.result, path=order.output)

    def drop(self) -> None:
        self._is_fit = False

    def rest(self) -> bool:
        return self._is_fit

    def _follow(self, call: Call, reports: Reports) -> Made | NotMade:
        """Pass on what the actor says until its last word, which is returned."""
        heard = asked = time.monotonic()
        while True:
            message = _next(call)
            now = time.monotonic()
            if isinstance(message, Made | NotMade):
                return message
            if message is not None:
                heard = asked = now
                if message.notices:
                    reports.note(message.notices)
                reports.say(message.progress)
            elif now - heard > self._options.hang_seconds:
                raise WorkerLost("no message for too long")
            elif now - asked > ASK_SECONDS:
                asked = now
                reports.say(None)
                if self._handle.leaving() == "now":
                    raise GivenBack("the machine leaves")
            if self._is_stopping():
                raise GivenBack("the service ends")

    def _stop(self, call: Call, job_id: str) -> None:
        """Have the actor stop; one that does not is not fit for another clip."""
        end = time.monotonic() + self._options.cancel_seconds
        with suppress(WorkerLost):
            self._handle.stop(job_id)
            while time.monotonic() < end:
                message = _next(call)
                if isinstance(message, Made | NotMade):
                    self._is_fit &= message.is_fit
                    return
        self._is_fit = False

    def _publish(self, made: Made, path: Path, reports: Reports) -> None:
        """Fetch the video and give it its name; raises as `prepare_output`, or `EncodeError`."""
        target = OutputFile(path)
        prepare_output(target)  # its folder may be gone, or the disk full by now
        part = part_path(target)
        try:
            with part.open("xb") as file:
                self._fetch(made.video, file, reports)
            reports.say(None)  # raises where the job is somebody else's by now
            publish(part, target)
        except OSError as error:
            raise write_error(part, error.strerror or str(error), error.errno) from error
        finally:
            part.unlink(missing_ok=True)

    def _keep(self, ended: NotMade, recorder: FrameRecorder) -> None:
        """Fetch the frames that are all there, and may be published by a retry."""
        recorder.notice = ended.notice
        if ended.frames is None:
            return
        part = recorder.path.with_name(f".{recorder.path.stem}.fetched.part")
        try:
            part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with part.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # as of one that is being written, see `media.unpublished`
                self._fetch(ended.frames, file)
                part.replace(recorder.path)
        except OSError as error:
            reason = error.strerror or str(error)
            recorder.notice = Notice("unpublished.not_kept", {"path": str(part.parent), "reason": reason})
            part.unlink(missing_ok=True)
        self._handle.forget()

    def _fetch(self, facts: FileFacts, file: IO[bytes], reports: Reports | None = None) -> None:
        """Write the actor's file to `file`; raise `WorkerLost` where what comes is not what was announced."""
        digest = hashlib.sha256()
        for piece in self._pieces(facts):
            digest.update(piece)
            file.write(piece)
            if reports is not None:
                reports.say(None)
        if digest.hexdigest() != facts.sha256:
            raise WorkerLost("its file arrived as another one than was announced")
        file.flush()

    def _pieces(self, facts: FileFacts) -> Iterator[bytes]:
        offset = 0
        while offset < facts.size:
            piece = self._handle.read(facts.kind, offset, PIECE_BYTES)
            if not piece:
                raise WorkerLost("its file is shorter than announced")
            offset += len(piece)
            yield piece


def _next(call: Call) -> Said | Made | NotMade | None:
    try:
        return call.next(TICK_SECONDS)
    except StopIteration:
        raise WorkerLost("its stream ended without a result") from None


def _read(path: Path, order: Order) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        code = "job.source_lost" if order.generation.source else "job.picture_lost"
        if is_sound(path.name):
            code = "job.sound_lost"
        raise InvalidRequest(code, path=str(path), reason=error.strerror or str(error)) from error
