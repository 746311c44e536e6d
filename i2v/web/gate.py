"""Which of Gradio's addresses exist here, and what may be sent to them.

Gradio brings far more than the page needs: files by path or URL, proxies, functions past the queue. So there
is a list of what is let through; every other path is the application's own, or nothing. This module knows no
widget.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator

import anyio
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from i2v.errors import InvalidRequest
from i2v.schema import shown
from i2v.web.forwarded import path_of
from i2v.web.problems import problem_of, respond

_READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|app_id|startup-events|theme\.css|upload_progress|queue/data|heartbeat/\w+)"
    r"|/gradio_api/file=/.+"  # a path of this machine: Gradio serves those below its own folder only
)
_WRITE = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset)")
_STREAMS = re.compile(r"/gradio_api/(queue/data|heartbeat/\w+)")
POLL_SECONDS = 0.2


class PageMount(Mount):
    """Gradio's application, seen at the paths above only; it may stand before all other routes."""

    def __init__(self, app: ASGIApp, closing: threading.Event) -> None:
        super().__init__("", app=_Gate(app, closing), name="page")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        allowed = _WRITE if scope["method"] == "POST" else _READ
        known = scope["method"] in ("GET", "HEAD", "POST") and allowed.fullmatch(path_of(scope))
        return super().matches(scope) if known else (Match.NONE, {})


class _Gate:
    """Refuses files by URL, and ends streams when the server ends."""

    def __init__(self, app: ASGIApp, closing: threading.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if path_of(scope) == "/gradio_api/queue/join":
            body = await _read(receive)
            address = next(_addresses(body), None)
            if address is not None:
                told = InvalidRequest(
                    "request.invalid", field="path", value=shown(address), allowed="an uploaded file"
                )
                await respond(problem_of(told))(scope, receive, send)
                return
            receive = _again(body, receive)
        elif _STREAMS.fullmatch(path_of(scope)):
            await self._stream(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the response see the client leave when the server wants to end: it would wait for open tabs."""
        open_response = False

        async def receive_or_leave() -> Message:
            found: list[Message] = []

            async def leave() -> None:
                while not self._closing.is_set():
                    await anyio.sleep(POLL_SECONDS)
                group.cancel_scope.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(leave)
                found.append(await receive())
                group.cancel_scope.cancel()
            return found[0] if found else {"type": "http.disconnect"}

        async def send_seen(message: Message) -> None:
            nonlocal open_response
            open_response = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        # With 2.4, Starlette's responses do not listen for the client to leave.
        scope = {**scope, "asgi": {**scope["asgi"], "spec_version": "2.3"}}
        await self._app(scope, receive_or_leave, send_seen)
        if open_response:
            await send({"type": "http.response.body", "body": b""})


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read already, then what comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _addresses(body: bytes) -> Iterator[str]:
    """Yield the URLs that stand where Gradio expects the path of a file, and would fetch."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return  # Gradio will refuse it
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "://" in path:
                yield path
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
