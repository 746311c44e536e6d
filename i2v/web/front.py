"""What the addresses share: the service behind them, and how its blocking calls are made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request

from i2v.jobs import Job, JsonObject
from i2v.service import Service
from i2v.settings import Settings

PREFIX = "/api/v1"

T = TypeVar("T")


class Front:
    """Kept in the application's state.

    Attributes:
        closing: set when the server ends, so that answers that take long end too.
        log: the file that the server writes, if any.
    """

    def __init__(
        self, service: Service, settings: Settings, closing: threading.Event, log: Path | None = None
    ) -> None:
        self.service = service
        self.settings = settings
        self.closing = closing
        self.log = log
        self._heavy = anyio.CapacityLimiter(2)

    @classmethod
    def of(cls, request: Request) -> Front:
        return cast("Front", request.app.state.front)

    async def heavy(self, call: Callable[[], T]) -> T:
        """Run what takes a process or waits for the worker: only two at once, so that others are answered."""
        return await run_sync(call, limiter=self._heavy)

    async def submit(self, fields: JsonObject, picture: bytes, key: str | None = None) -> Job:
        """See `Service.submit`."""
        return await self.heavy(lambda: self.service.submit(fields, picture, key))
