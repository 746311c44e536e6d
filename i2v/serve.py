"""The server: settings -> store -> executor -> service -> application -> uvicorn. Wiring only.

Listens before anything else is touched, so that a taken port leaves a running service in peace.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.core.users import check_users
from i2v.core.webhook import HIDDEN
from i2v.engines.registry import engines as all_engines
from i2v.host import data_folder, restored
from i2v.host.descriptors import connections_within, raise_limit
from i2v.host.log_files import app_log
from i2v.host.network import addresses, is_loopback, listen
from i2v.host.service_lock import hold
from i2v.host.token_file import read_given, read_or_make
from i2v.jobs.store import JobStore
from i2v.service.executor import Executor
from i2v.service.service import Service
from i2v.web.api.metrics import metrics_port
from i2v.web.app import create_app
from i2v.web.guard.connections import Connections, limited
from i2v.web.guard.listener import ACCEPTS, Listener
from i2v.web.page.gradio_import import without_stubs
from i2v.workers.executors.process import ProcessExecutor
from i2v.workers.executors.ray import RayExecutor, check_installed

GRACE_SECONDS = 10  # for answers that are under way when the server ends


def serve(
    settings: Settings,
    engines: Mapping[str, EngineSpec] | None = None,
    logs: Path = ROOT / "logs",
    quiet: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; then let a running job go back to the queue, and return.

    quiet: warnings stand in the log alone.

    Raises:
        InvalidRequest: the host is not this machine.
        I2VError: the port or the data folder is taken, or the data folder (`data.*`), the database
            (`database.*`) or the token cannot be used; or jobs are to be run by Ray, which is not installed.
    """
    if settings.worker.executor == "ray":
        check_installed()
    data_dir = settings.service.data_dir
    engines = all_engines() if engines is None else engines
    as_json = settings.logging.format == "json"
    with listen(settings.server.host, settings.server.port) as listener, app_log(logs, quiet, as_json) as log:
        data_folder.prepare(data_dir)
        with hold(data_dir, _urls(listener), log):  # before anything there is opened or changed
            restored.finish(data_dir)
            data_folder.restrict(data_dir)
            settings = _with_token(settings, listener)
            store = JobStore(settings.database, settings.service.max_queued)
            executor = _executor(settings, store, engines, logs)
            service = Service(settings, store, executor, engines)
            try:
                service.start()
                with _metrics(service, settings):
                    _answer(service, settings, listener, log)
            finally:
                service.stop()


def _executor(settings: Settings, store: JobStore, engines: Mapping[str, EngineSpec], logs: Path) -> Executor:
    if settings.worker.executor == "ray":
        return RayExecutor(settings, store, engines, logs)
    return ProcessExecutor(settings, store, engines, logs)


def _with_token(settings: Settings, listener: socket.socket) -> Settings:
    """Return the settings with all tokens that open; say where the service's own is to be found.

    It has one if others can reach the listener; with users too, for commands of this machine.
    """
    settings = _with_users(settings)
    if settings.security.token:
        print("The access token is security.token", flush=True)
        return settings
    if is_loopback(listener.getsockname()[0]) and not settings.security.users:
        return settings
    path = settings.service.data_dir / "token"
    token, is_new = read_or_make(path)
    print(
        f"The access token is {token}, kept in {path}" if is_new else f"The access token is in {path}",
        flush=True,
    )
    security = settings.security.model_copy(update={"token": SecretStr(token)})
    return settings.model_copy(update={"security": security})


def _with_users(settings: Settings) -> Settings:
    """Return the settings with the tokens that stand in files."""
    users = tuple(
        user
        if user.token_file is None
        else user.model_copy(update={"token": SecretStr(read_given(user.token_file)), "token_file": None})
        for user in settings.security.users
    )
    try:
        check_users(users)
    except ValueError as error:
        raise InvalidRequest(
            "settings.invalid", source="token_file", key="security.users", value=HIDDEN, allowed=str(error)
        ) from error
    security = settings.security.model_copy(update={"users": users})
    return settings.model_copy(update={"security": security})


@contextmanager
def _metrics(service: Service, settings: Settings) -> Iterator[None]:
    """Answer at the port for metrics, if the settings have one."""
    if not settings.server.metrics_port:
        yield
        return
    with metrics_port(service.metrics.render, settings.server.metrics_port) as port:
        print(f"Metrics: http://127.0.0.1:{port}/metrics", flush=True)
        yield


def _answer(service: Service, settings: Settings, listener: socket.socket, log: Path | None) -> None:
    closing = threading.Event()
    app = create_app(service, settings, closing, log)
    if settings.server.page:
        with without_stubs():
            from i2v.web.page.mount import mount_page  # seconds, which an API alone need not take

        mount_page(app, settings)
    connections = Connections(connections_within(raise_limit()))
    config = uvicorn.Config(
        app,
        http=limited(connections),
        loop="asyncio",  # what takes connections itself would not ask `Listener`
        backlog=ACCEPTS,
        ws="none",
        log_config=None,  # what we set up
        server_header=False,
        proxy_headers=False,  # whose word counts, the settings say: `web.guard.forwarded`
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, closing)
    with suppress(KeyboardInterrupt), Listener(listener, connections) as limited_listener:
        server.run([limited_listener])  # ends in order and raises the signal again


class _Server(uvicorn.Server):
    """Says where it can be reached, and tells the application when it ends."""

    def __init__(self, config: uvicorn.Config, closing: threading.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            urls = _urls(listener)
            print(f"i2v listens at {' and '.join(urls)} (API: {urls[0]}/docs)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        print("i2v stops: a running job goes back to the queue", flush=True)
        self._closing.set()
        await super().shutdown(sockets)


def _urls(listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    return [
        f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
        for address in addresses(listener)
    ]
