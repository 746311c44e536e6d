"""i2v.launcher.answers: an answer, an error, silence and nobody, told apart."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from i2v.launcher.answers import status_of
from tests.launcher.conftest import free_port


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_the_status_is_reported_and_no_proxy_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert [status_of(f"{server}/{status}", 10) for status in (200, 401, 503)] == [200, 401, 503]


def test_who_listens_but_does_not_answer_is_waited_for_only_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert status_of(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.2) is None
        assert 0.2 <= time.monotonic() - began < 60


def test_nobody_is_no_answer() -> None:
    assert status_of(f"http://127.0.0.1:{free_port()}/", 10) is None
    assert status_of("http://[::1]:1/", 10) is None
