"""Receivers of webhooks for tests: real sockets; each does what it is told, and remembers what came."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Received:
    """A request as it came; names of headers in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A receiver at work: answers as `script` has it, one each, then as `usual`."""

    port: int
    usual: Answer
    script: deque[Answer] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def next_answer(self, request: Received) -> Answer:
        with self.lock:
            self.received.append(request)
            return self.script.popleft() if self.script else self.usual


class Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with suppress(OSError):  # the sender has given up
            self.receiver.next_answer(Received(self.path, headers, body))(self)

    def log_message(self, *arguments: object) -> None:
        """Be silent."""

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.answer(code, **headers)


def stall(seconds: float) -> Answer:
    """Take the request, and say nothing for so long."""
    return lambda handler: time.sleep(seconds)


def drip(handler: Handler) -> None:
    """Send an answer that never ends, a byte at a time: each alone is quick."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(600):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def endless_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))


def huge_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    for _ in range(10_000):
        handler.wfile.write(b"x" * 1_000_000)


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled answer need not be waited for

    def handle_error(self, *arguments: object) -> None:
        """Be silent: senders that hang up are what is tested."""


@contextmanager
def receiving(
    usual: Answer | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a receiver at a port of the loopback interface; `usual`: how it answers, with 204 if not given."""
    handler = type("Bound", (Handler,), {})
    with _Server(("127.0.0.1", port), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver = Receiver(server.server_address[1], usual or status(204))
        handler.receiver = receiver  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
