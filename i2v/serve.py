"""The server: settings -> store -> executor -> service -> application -> uvicorn. Wiring only.

Listens before anything else is touched, so that a taken port leaves a running service in peace.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import uvicorn

from i2v.engines.specs import ENGINES
from i2v.errors import I2VError, Notice
from i2v.executors.process import ProcessExecutor
from i2v.job_store import JobStore
from i2v.schema import EngineSpec, shown
from i2v.service import Service
from i2v.settings import ROOT, Settings
from i2v.web.app import create_app
from i2v.web.security import loopback_address

GRACE_SECONDS = 10  # for answers that are under way when the server ends

log = logging.getLogger(__name__)


def serve(
    settings: Settings, engines: Mapping[str, EngineSpec] = ENGINES, logs: Path = ROOT / "logs"
) -> None:
    """Serve until SIGINT or SIGTERM; then let a running job go back to the queue, and return.

    Raises:
        InvalidRequest: the host can be reached from other machines.
        I2VError: the port or the data folder is taken, or the database cannot be used (`database.*`).
    """
    with _listener(settings.server.host, settings.server.port) as listener, _log_file(logs):
        store = JobStore(
            settings.database, settings.service.max_queued, lease_seconds=settings.worker.lease_seconds
        )
        with _alone(settings.service.data_dir):
            service = Service(settings, store, ProcessExecutor(settings, store, engines, logs), engines)
            try:
                service.start()
                _answer(service, settings, listener)
            finally:
                service.stop()


def _answer(service: Service, settings: Settings, listener: socket.socket) -> None:
    closing = threading.Event()
    app = create_app(service, settings, closing)
    if settings.server.page:
        from i2v.web.ui import mount_page  # Gradio takes seconds to load, which an API alone need not

        mount_page(app, settings)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,  # what we set up
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, closing)
    with suppress(KeyboardInterrupt):  # uvicorn ends in order and raises the signal again
        server.run([listener])


class _Server(uvicorn.Server):
    """Says where it can be reached, and tells the application when it ends."""

    def __init__(self, config: uvicorn.Config, closing: threading.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            print(f"i2v listens at {_url(listener)} (API: {_url(listener)}/docs)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        print("i2v stops: a running job goes back to the queue", flush=True)
        self._closing.set()
        await super().shutdown(sockets)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listener(host: str, port: int) -> socket.socket:
    address = loopback_address(host)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise I2VError("server.port_taken", host=shown(host), port=port, reason=reason) from error
    return listener


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the folder: a second service would take the jobs that this one runs for interrupted."""
    with (data_dir / "service.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise I2VError("server.data_in_use", path=shown(str(data_dir), limit=300)) from error
        yield


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """Write logs/app_YYYYMMDD_HHMMSS.log; warnings go to standard error too."""
    root = logging.getLogger()
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING)
    handlers: list[logging.Handler] = [console]
    path = folder / f"app_{datetime.now():%Y%m%d_%H%M%S}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8", errors="backslashreplace"))
        print(f"Log: {path}", flush=True)
    except OSError as error:
        reason = error.strerror or str(error)
        told = Notice("doctor.logs_unwritable", {"path": shown(str(folder), limit=300), "reason": reason})
        print(f"i2v: {told.message}", file=sys.stderr)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    level, root.level = root.level, logging.INFO
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
