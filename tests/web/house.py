"""A server on a real socket, in this process: real service, store and files; jobs run when a test says so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
import uvicorn
from fastapi import FastAPI

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.web.app import create_app
from i2v.web.context import AppContext
from i2v.workers.devices import DeviceState
from i2v.workers.worker import Worker
from tests.rehearsal import ENGINES, stage


class HeldExecutor:
    """See `service.executor.Executor`: nothing runs until a test calls `run_next` or works in a thread."""

    def __init__(
        self, settings: Settings, store: JobStore, engines: Mapping[str, EngineSpec] = ENGINES
    ) -> None:
        self._device = DeviceInfo("cpu", "CPU", 2**33)
        self._worker = Worker(settings, store, engines, self._device, owner="test")
        self.ready = self.alive = True

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wake(self) -> None: ...

    def device(self) -> DeviceInfo:
        return self._device

    def device_now(self) -> DeviceInfo:
        return self._device

    def devices(self) -> tuple[DeviceState, ...]:
        return (DeviceState("cpu", 1, self._device, "ready"),)

    def problem(self) -> I2VError | None:
        return None if self.ready else I2VError("server.not_ready")

    def deaths(self) -> int:
        return 0

    def is_alive(self) -> bool:
        return self.alive

    def run_next(self) -> bool:
        return self._worker.run_next()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run jobs in a thread as they come."""
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                if not self.run_next():
                    time.sleep(0.02)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@dataclass
class House:
    """A running server, and what is behind it."""

    url: str
    settings: Settings
    store: JobStore
    service: Service
    executor: HeldExecutor
    closing: threading.Event
    picture: bytes
    context: AppContext
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.api + path, headers=headers, timeout=60)

    def post(self, path: str, **headers: str) -> requests.Response:
        return self.session.post(self.api + path, headers=headers, timeout=60)

    def submit(self, prompt: str = "the camera pans left", **fields: object) -> requests.Response:
        form = {"prompt": prompt, **fields}
        return self.session.post(
            f"{self.api}/jobs", data=form, files={"image": ("x.png", self.picture)}, timeout=60
        )

    def submit_id(self, prompt: str = "the camera pans left", **fields: object) -> str:
        response = self.submit(prompt, **fields)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])


@contextmanager
def running(
    folder: Path,
    picture: bytes,
    engines: Mapping[str, EngineSpec] = ENGINES,
    mount: Callable[[FastAPI, Settings], FastAPI] = lambda app, settings: app,
    log: Path | None = None,
    **flags: object,
) -> Iterator[House]:
    """Start the server; `mount` adds a page to it, `log` is the file whose end a page shows."""
    settings = stage(folder, **flags)
    store = JobStore(settings.database, settings.service.max_queued)
    executor = HeldExecutor(settings, store, engines)
    service = Service(settings, store, executor, engines)
    service.start()
    closing = threading.Event()
    app = mount(create_app(service, settings, closing, log), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, http="h11", ws="none", log_config=None, proxy_headers=False, timeout_graceful_shutdown=30
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        house = House(url, settings, store, service, executor, closing, picture, app.state.context)
        try:
            yield house
        finally:
            house.session.close()
            closing.set()
            server.should_exit = True
            thread.join()
            service.stop()


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
