"""Metrics for Prometheus: at `/metrics` behind the rules of the API, and at a port of its own on loopback.

What is measured is `service.metrics`' business.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fastapi import APIRouter, Request, Response

from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.service.metrics import CONTENT_TYPE
from i2v.web.context import AppContext
from i2v.web.guard.security import LOOPBACK_NAMES, host_name
from i2v.web.problems import problems

ADDRESS = "127.0.0.1"
PATH = "/metrics"

router = APIRouter(tags=["service"])

log = logging.getLogger(__name__)


@router.get(
    PATH,
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(503)},
)
def get_metrics(request: Request) -> Response:
    """Give what is measured, in Prometheus' text format."""
    metrics = AppContext.of(request).service.metrics
    return Response(metrics.render(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)


@contextmanager
def metrics_port(render: Callable[[], bytes], port: int) -> Iterator[int]:
    """Answer at a port of the loopback interface, without a token, as long as the block runs; yield it.

    Raises `I2VError` (`server.port_taken`).
    """
    handler = type("MetricsHandler", (_Handler,), {"render": staticmethod(render)})
    try:
        server = _Server((ADDRESS, port), handler)
    except OSError as error:
        reason = shown(error.strerror or str(error), limit=100)
        raise I2VError("server.port_taken", host=ADDRESS, port=port, reason=reason) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # whoever keeps a connection open is not waited for


class _Handler(BaseHTTPRequestHandler):
    render: Callable[[], bytes]
    timeout = 10.0  # seconds that a client may take

    def do_GET(self) -> None:
        if host_name(self.headers.get("host", "")) not in LOOPBACK_NAMES:  # DNS rebinding: see `security`
            self.send_error(421)
        elif self.path != PATH:
            self.send_error(404)
        else:
            self._answer()

    def _answer(self) -> None:
        try:
            text = self.render()
        except I2VError as error:
            self.send_error(503, explain=error.message)
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        log.debug(format, *arguments)
