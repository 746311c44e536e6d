"""What the addresses share: the service behind them, and how its blocking calls are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.jobs.model import Job, JsonObject
from i2v.media.image import Inspection
from i2v.service.enhancing import enhancement_of, extension_of
from i2v.service.service import PlanSummary, Service
from i2v.web.one_time import OneTime

PREFIX = "/api/v1"
WAITING = 64  # pictures of one kind that are read or wait for it; the next is turned away at once

T = TypeVar("T")


class AppContext:
    """Kept in the application's state.

    Attributes:
        closing: set when the server ends, so that answers that take long end too.
        log: the file that the server writes, if any.
        once: addresses that work once, without a token.
        unpacking: whose turn it is to take a large body into memory, where it is as text, parsed and as a
            picture.
    """

    def __init__(
        self, service: Service, settings: Settings, closing: threading.Event, log: Path | None = None
    ) -> None:
        self.service = service
        self.settings = settings
        self.closing = closing
        self.log = log
        self.once = OneTime(settings.service.data_dir)
        self.unpacking = anyio.CapacityLimiter(2)
        # Apart from each other, so that nobody who asks for a plan waits for other people's pictures.
        self._heavy = anyio.CapacityLimiter(2)
        self._plans = anyio.CapacityLimiter(4)
        self._submissions = anyio.CapacityLimiter(WAITING)
        self._looks = anyio.CapacityLimiter(WAITING)
        self._probes = anyio.CapacityLimiter(1)
        self._inspections = anyio.CapacityLimiter(WAITING)

    @classmethod
    def of(cls, request: Request) -> AppContext:
        return cast("AppContext", request.app.state.context)

    async def heavy(self, call: Callable[[], T]) -> T:
        """Run what takes a process or waits for the worker: only two at once, so that others are answered."""
        return await run_sync(call, limiter=self._heavy)

    async def problem(self) -> I2VError | None:
        """See `Service.problem`; whoever asks meanwhile takes no thread of those that answer others."""
        return await run_sync(self.service.problem, limiter=self._probes)

    async def plan(self, fields: JsonObject, size: tuple[int, int] = (512, 512)) -> PlanSummary:
        """See `Service.plan`."""
        return await run_sync(lambda: self.service.plan(fields, size), limiter=self._plans)

    async def engine(self, name: str = "auto") -> EngineSpec:
        """See `Service.engine`."""
        return await run_sync(lambda: self.service.engine(name), limiter=self._plans)

    async def submit(
        self,
        fields: JsonObject,
        picture: bytes,
        key: str | None = None,
        others: Sequence[bytes] = (),
        picture_name: str = "",
    ) -> Job:
        """See `Service.submit`."""
        submit = partial(self.service.submit, fields, picture, key, others, picture_name=picture_name)
        return await _admitted(self._submissions, submit)

    async def submit_again(self, job_id: str, fields: JsonObject | None = None) -> Job:
        """Ask for what a job asked for, with a new seed, from the same pictures and sound.

        fields: what differs from its own. Of a clip that was made of another one, they are for that
        one. A `prompt` is for all scenes of a story.
        Raises as `submit` does, and `InvalidRequest` (`job.unknown`, `job.no_thumbnail`, `job.sound_lost`,
        `job.source_deleted`).
        """
        job = await run_sync(self.service.own, job_id)
        if job.generation is not None and job.generation.source:
            source = str(job.request.get("source_job", ""))
            await run_sync(self._check_source, job.id, source)
            if fields:
                return await self.submit_again(source, fields)
            if job.generation.extends:
                return await self.extend(source, extension_of(job))
            return await self.enhance(source, enhancement_of(job))
        pictures = []
        for name in job.pictures:
            picture = await self.look(partial(self.service.picture, job, name))
            if picture is None:
                raise InvalidRequest("job.no_thumbnail", id=job.id)
            pictures.append(picture)
        if job.track is not None:
            sound = await run_sync(self.service.sound, job)
            if sound is None:
                raise InvalidRequest("job.sound_lost", path=job.track, reason="it is gone")
            pictures.append(sound)
        left = {"seed"}
        if job.wanted_device not in [state.id for state in self.service.devices()]:
            left.add("device")  # it is gone
        asked = {name: value for name, value in job.request.items() if name not in left}
        asked |= fields or {}
        if fields and "prompt" in fields and job.generation is not None and "story" not in fields:
            asked |= {"story": [{"seconds": scene.seconds} for scene in job.generation.story]}
        return await self.submit(asked, pictures[0], others=pictures[1:], picture_name=job.picture_name)

    def _check_source(self, job_id: str, source: str) -> None:
        try:
            self.service.get(source)
        except InvalidRequest as error:
            if error.code != "job.unknown":
                raise
            raise InvalidRequest("job.source_deleted", id=job_id) from error

    async def enhance(self, job_id: str, fields: JsonObject) -> Job:
        """See `Service.enhance`."""
        return await _admitted(self._submissions, partial(self.service.enhance, job_id, fields))

    async def extend(self, job_id: str, fields: JsonObject) -> Job:
        """See `Service.extend`."""
        return await _admitted(self._submissions, partial(self.service.extend, job_id, fields))

    async def submitted(self, call: Callable[[], Job]) -> Job:
        """Run what submits a job in another way."""
        return await _admitted(self._submissions, call)

    async def inspect(self, picture: bytes) -> Inspection:
        """See `Service.inspect`."""
        return await _admitted(self._inspections, lambda: self.service.inspect(picture))

    async def look(self, call: Callable[[], T]) -> T:
        """Run what decodes a picture without making a job of it."""
        return await _admitted(self._looks, call)


async def _admitted(room: anyio.CapacityLimiter, call: Callable[[], T]) -> T:
    """Run a call that waits for its turn by itself; raise `I2VError` where too many wait already."""
    if room.available_tokens < 1:
        raise I2VError("image.decoders_busy")
    return await run_sync(call, limiter=room)
