"""`i2v.web.guard.connections` and `i2v.web.guard.listener`, on real sockets: who has to go, who has not."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from i2v.web.guard.connections import Connections, Patience, limited
from i2v.web.guard.listener import ACCEPTS, Listener
from tests.web.house import wait_for

PATIENCE = Patience()
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
UNREAD = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 40_000_000  # bytes: more than sockets hold


class Loop(asyncio.SelectorEventLoop):
    """Its clock is put forward by tests, so that no deadline depends on how fast the machine is."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    async def put_forward(self, seconds: float) -> None:
        """Let time pass by what a server looks at its connections; what is due by then is done."""
        for _ in range(math.ceil(seconds / PATIENCE.tick)):
            self.ahead += PATIENCE.tick
            for _ in range(3):
                await asyncio.sleep(0)


@dataclass
class Tried:
    """A server with limits, and what it saw."""

    port: int
    connections: Connections
    gone: list[str]
    stack: ExitStack
    loop: Loop

    def let_pass(self, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self.loop.put_forward(seconds), self.loop).result(60)

    def is_given_up(self, opened: socket.socket, within: float) -> bytes:
        """Return what comes up to the end of a connection, which comes when `within` seconds have passed.

        What was sent has not arrived yet, perhaps, so the time may have to pass more than once.
        """
        found = b""
        opened.settimeout(0.05)
        while True:
            try:
                chunk = opened.recv(65536)
            except TimeoutError:
                self.let_pass(within)
            except ConnectionResetError:
                return found
            else:
                found += chunk
                if not chunk:
                    return found

    def connect(self, *words: bytes) -> socket.socket:
        opened = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=60))
        for word in words:
            opened.sendall(word)
        return opened

    def get(self) -> int:
        return requests.get(f"http://127.0.0.1:{self.port}/", timeout=60).status_code


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once; /stream: a word every 100 s, 20 of them; /large: much; /late: the body after 100 s."""
    path = scope["path"]
    seen = scope["state"]["gone"]
    try:
        if path == "/late":
            await asyncio.sleep(100)
        size = len(await Request(scope, receive).body())
    except ClientDisconnect:
        seen.append("body")
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/stream":
        for _ in range(20):
            await asyncio.sleep(100)
            await send({"type": "http.response.body", "body": b"word\n", "more_body": True})
    if path == "/large":
        for _ in range(LARGE // 100_000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        seen.append("answer")
    await send({"type": "http.response.body", "body": str(size).encode()})


@contextmanager
def serving(limit: int = 100) -> Iterator[Tried]:
    connections = Connections(limit)
    gone: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer({**scope, "state": {"gone": gone}}, receive, send)

    config = uvicorn.Config(
        app,
        http=limited(connections, PATIENCE),
        backlog=ACCEPTS,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server, loop = uvicorn.Server(config), Loop()
    with Listener(socket.create_server(("127.0.0.1", 0), backlog=128), connections) as listener:
        port = listener.getsockname()[1]

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(server.serve([listener]))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            with ExitStack() as stack:
                yield Tried(port, connections, gone, stack, loop)
        finally:
            server.should_exit = True
            thread.join()
    assert connections.open == 0


@pytest.fixture
def tried() -> Iterator[Tried]:
    with serving() as started:
        yield started


def everything(opened: socket.socket) -> bytes:
    """Return all that comes until the other side ends."""
    found = bytearray()  # megabytes, perhaps, which are not to be copied each time
    try:
        while chunk := opened.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return bytes(found)


# --- deadlines


def test_a_silent_connection_is_closed_without_a_word(tried: Tried) -> None:
    silent = tried.connect()
    wait_for(lambda: tried.connections.open == 1)
    tried.let_pass(PATIENCE.head - 2)
    assert tried.connections.open == 1
    assert tried.is_given_up(silent, PATIENCE.head + 2) == b""


@pytest.mark.parametrize("words", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_half_a_head_is_answered_with_408(tried: Tried, words: bytes) -> None:
    assert tried.is_given_up(tried.connect(words), PATIENCE.head + 2).startswith(b"HTTP/1.1 408 ")


def trickle(tried: Tried, opened: socket.socket) -> bytes:
    """Send a byte a second, or nearly, until there is an answer; return it."""
    opened.settimeout(0.01)
    while True:
        try:
            opened.sendall(b"X")
            return opened.recv(100)
        except TimeoutError:
            tried.let_pass(1)


def test_a_head_that_trickles_in_is_cut_off(tried: Tried) -> None:
    assert trickle(tried, tried.connect(b"GET / HTTP/1.1\r\n")).startswith(b"HTTP/1.1 408 ")


def test_the_next_request_has_the_same_deadline(tried: Tried) -> None:
    opened = tried.connect(GET)
    assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")
    opened.sendall(b"GET / HT")
    assert b"408" in tried.is_given_up(opened, PATIENCE.head + 2)


def test_half_a_body_is_cut_off_and_the_application_learns_of_it(tried: Tried) -> None:
    opened = tried.connect(POST % 100, b"half")
    assert tried.is_given_up(opened, PATIENCE.body + 2).startswith(b"HTTP/1.1 408 ")
    wait_for(lambda: tried.gone == ["body"])


def test_a_body_that_trickles_in_is_cut_off(tried: Tried) -> None:
    assert trickle(tried, tried.connect(POST % 10_000_000)).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_the_application_does_not_want_yet_is_not_late(tried: Tried) -> None:
    size = 1_000_000  # more than the server reads ahead
    opened = tried.connect(
        b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size, bytes(size)
    )
    assert answered(tried, opened).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_to_be_asked_for_its_body_is_not_late(tried: Tried) -> None:
    head = b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    opened = tried.connect(head)
    assert answered(tried, opened).startswith(b"HTTP/1.1 100 ")
    opened.sendall(b"body")
    assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")


def answered(tried: Tried, opened: socket.socket) -> bytes:
    """Let time pass until there is an answer, and return it."""
    opened.settimeout(0.01)
    while True:
        try:
            found = opened.recv(65536)
        except TimeoutError:
            tried.let_pass(50)
        else:
            opened.settimeout(60)
            return found


def test_a_stream_of_events_is_not_cut_off(tried: Tried) -> None:
    opened = tried.connect(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    found = b""
    while chunk := answered(tried, opened):
        found += chunk
    assert found.count(b"word") == 20
    assert PATIENCE.answer < 20 * 100


def test_a_long_download_is_not_cut_off_while_it_is_read(tried: Tried) -> None:
    opened = tried.connect(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    count = pauses = 0
    while chunk := opened.recv(1_000_000):
        count += len(chunk)
        if count > 10_000_000 * (pauses + 1):  # more than sockets hold: the server has sent some of it
            tried.let_pass(PATIENCE.answer - 50)
            pauses += 1
    assert count > LARGE
    assert pauses > 2


def test_an_answer_that_nobody_reads_is_given_up(tried: Tried) -> None:
    opened = tried.connect(UNREAD)
    assert opened.recv(1)
    while tried.connections.open:
        tried.let_pass(PATIENCE.answer + 2)
    assert opened.fileno() > 0


# --- how many


@pytest.mark.parametrize("words", [[], [b"GET / HTTP/1.1\r\n"], [POST % 100_000, b"half"], [UNREAD]])
def test_whoever_lets_the_server_wait_makes_room_for_others(words: list[bytes]) -> None:
    with serving(10) as tried:
        held = [tried.connect(*words) for _ in range(100)]
        for _ in range(20):
            assert tried.get() == 200
        assert tried.connections.open <= 10 + ACCEPTS
        assert len(held) == 100


def test_a_download_is_not_cut_off_for_those_who_say_nothing() -> None:
    with serving(10) as tried:
        reader = tried.connect(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert reader.recv(1)
        held = [tried.connect() for _ in range(100)]
        assert [tried.get() for _ in range(20)] == [200] * 20
        assert len(everything(reader)) >= LARGE
        assert len(held) == 100


def test_where_all_are_busy_others_are_refused_and_come_in_afterwards() -> None:
    with serving(3) as tried:
        held = [
            tried.connect(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(3)
        ]
        for opened in held:
            assert opened.recv(5).startswith(b"HTTP")
        refused = tried.connect()
        answer = everything(refused)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in answer
        for opened in held:
            while answered(tried, opened):
                pass
        wait_for(lambda: tried.connections.open == 0)
        assert tried.get() == 200


def test_a_lack_of_descriptors_is_survived_with_few_words(
    few_descriptors: Callable[[], AbstractContextManager[None]], caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as tried:
        assert tried.get() == 200
        waiting = [tried.stack.enter_context(socket.socket()) for _ in range(5)]
        caplog.set_level(logging.INFO)
        with few_descriptors():
            for opened in waiting:
                opened.settimeout(60)
                opened.connect(("127.0.0.1", tried.port))
            assert everything(waiting[-1]).startswith(b"HTTP/1.1 503 ")
        assert 1 <= len(caplog.records) <= 10
        assert tried.get() == 200


@pytest.fixture
def few_descriptors() -> Callable[[], AbstractContextManager[None]]:
    """Return what lets this process have no new descriptor."""

    @contextmanager
    def few() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1, before[1]),
        )
        taken = []
        try:
            while True:
                try:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    break
            yield
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    return few
