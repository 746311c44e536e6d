"""A clip that an actor makes, as the service follows it: events on the way, then a file in pieces.

Owns what is compared, so that nothing is taken for whole that is not: a stream without a last word means that
the actor is lost, also where Ray raises nothing. The video is published here, once, and only as long as the
job is still this attempt's.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from i2v.core.errors import Cancelled, EncodeError, I2VError, InvalidRequest, ModelUnavailable, Notice
from i2v.core.results import Result
from i2v.core.settings import WorkerSettings
from i2v.jobs.model import JobLost, is_sound
from i2v.media.outputs import OutputFile, part_path, prepare_output, publish
from i2v.media.unpublished import FrameRecorder
from i2v.media.video.failures import write_error
from i2v.workers.cluster.handles import Call, Handle, Host
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import (
    PIECE_BYTES,
    Fetched,
    FileFacts,
    LastWord,
    Made,
    Message,
    NotMade,
    Wanted,
)
from i2v.workers.devices import Fetch
from i2v.workers.maker import GivenBack, Order, Reports, WorkerLost

TICK_SECONDS = 0.2  # how late a cancel, or the end of the service, is noticed, at most
DISK_FULL_CODES = ("encode.no_space", "output.no_space", "weights.disk_full", "sound.no_space")
ASK_SECONDS = 1.0  # between two looks at the job and at the actor's machine, while no event comes

log = logging.getLogger(__name__)


class RemoteMaker:
    """A `workers.maker.Maker` whose clips an actor makes. `shelf`: `None` has it fetch no weights."""

    def __init__(self, handle: Handle, options: WorkerSettings, host: Host, shelf: Shelf | None) -> None:
        self._handle = handle
        self._options = options
        self._host = host
        self._shelf = shelf
        self._is_fit = True

    def make(self, order: Order, recorder: FrameRecorder, reports: Reports) -> Result:
        if not order.generation.is_enhanced:
            try:
                self.fetch(order.generation.engine, reports)
            except EncodeError as full:
                raise self._unless_elsewhere(full, order) from full
        inputs = [_read(path, order) for path in order.inputs]
        sent = replace(  # without ids, which open jobs
            order,
            job_id=f"{order.tag}-{secrets.token_hex(4)}",  # `stop` is for one attempt
            request={name: value for name, value in order.request.items() if name != "source_job"},
            inputs=tuple(Path(f"input{path.suffix}") for path in order.inputs),
            output=Path("clip.mp4"),
        )
        call = self._handle.make(sent, inputs)
        ended = self._followed(call, sent.job_id, reports)
        if isinstance(ended, NotMade):
            self._is_fit &= ended.is_fit
            self._keep(ended, recorder)
            raise self._unless_elsewhere(self._of_machine(ended.error), order)
        assert isinstance(ended, Made), "what was asked for"
        self._is_fit &= ended.is_fit
        self._publish(ended, order.output, reports)
        self._handle.forget()
        return replace(ended.result, path=order.output)

    def fetch(self, engine: str, reports: Reports) -> None:
        """Have the machine get the engine's weights if it lacks them and there is a way.

        Raises `ModelUnavailable` (`cluster.not_fetched`), `EncodeError` (`cluster.disk_full`), and as `make`.
        """
        if self._shelf is None or engine in self._handle.models():
            return
        errand = self._shelf.errand(engine)
        if errand is None:
            return  # the engine will say what is missing
        title = self._shelf.title(engine)
        log.info("%s gets the weights of %s", self._host.name, title)
        reports.note((Notice("cluster.fetching", {"node": self._host.name, "title": title}),))
        self._host.show(Fetch(engine))
        try:
            ended = self._followed(self._handle.fetch(errand), errand.ticket, reports)
        finally:
            self._host.show(None)
        if isinstance(ended, NotMade):
            error = self._of_machine(ended.error)
            if error is not ended.error:
                raise error
            about = {"node": self._host.name, "title": title, "reason": error.message}
            raise ModelUnavailable("cluster.not_fetched", **about) from error
        assert isinstance(ended, Fetched), "what was asked for"
        self._host.note_models(ended.models)

    def drop(self) -> None:
        self._is_fit = False

    def rest(self) -> bool:
        return self._is_fit

    def _of_machine(self, error: I2VError) -> I2VError:
        """Return the error, named by the machine where that one's disk is full."""
        if error.code not in DISK_FULL_CODES:
            return error
        return EncodeError("cluster.disk_full", node=self._host.name, reason=error.message)

    def _unless_elsewhere(self, error: I2VError, order: Order) -> I2VError:
        """Return the job's error; raise `GivenBack` where it is a full disk and others can take the job."""
        is_free = order.wanted_device is None  # to go elsewhere
        if error.code == "cluster.disk_full" and is_free and self._host.give_away(error):
            raise GivenBack(error.message) from error
        return error

    def _followed(self, call: Call, ticket: str, reports: Reports) -> LastWord:
        """Follow the actor to its last word, and stop it where nobody waits for that any more."""
        try:
            return self._follow(call, reports)
        except (Cancelled, JobLost):
            self._stop(call, ticket)
            raise

    def _follow(self, call: Call, reports: Reports) -> LastWord:
        """Pass on what the actor says until its last word, which is returned."""
        heard = asked = time.monotonic()
        while True:
            message = _next(call)
            now = time.monotonic()
            if isinstance(message, LastWord):
                return message
            if isinstance(message, Wanted):
                self._give(message, reports)
                heard = asked = time.monotonic()
            elif message is not None:
                heard = asked = now
                if message.fetch is not None:
                    self._host.show(message.fetch)
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
            if self._host.is_stopping:
                raise GivenBack("the service ends")

    def _give(self, wanted: Wanted, reports: Reports) -> None:
        """Send what the actor asks for of the server's weights."""
        assert self._shelf is not None, "it was sent on an errand"
        said = time.monotonic()

        def tick() -> None:
            nonlocal said
            if time.monotonic() - said > ASK_SECONDS:
                said = time.monotonic()
                reports.say(None)

        self._handle.give(self._shelf.answer(wanted, tick))

    def _stop(self, call: Call, job_id: str) -> None:
        """Have the actor stop; one that does not is not fit for another clip."""
        end = time.monotonic() + self._options.cancel_seconds
        with suppress(WorkerLost):
            self._handle.stop(job_id)
            while time.monotonic() < end:
                message = _next(call)
                if isinstance(message, LastWord):
                    self._is_fit &= isinstance(message, Fetched) or message.is_fit
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


def _next(call: Call) -> Message | None:
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
