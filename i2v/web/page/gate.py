"""Which of Gradio's addresses exist here, and what may be sent to them.

Gradio brings far more than the page needs: files by path or URL, proxies, functions past the queue. So there
is a list of what is let through; every other path is the application's own, or nothing. What is let through
is judged first (`page_requests`), and bounded (`sessions`, `upload_folder`). This module knows no widget.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Container
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from i2v.core.errors import I2VError, InvalidRequest, not_stored
from i2v.core.fields import shown
from i2v.web.guard.forwarded import path_of
from i2v.web.page.requests import (
    MAX_BYTES,
    check_event,
    check_form_type,
    check_json_type,
    check_name,
    name_in_query,
)
from i2v.web.page.upload_folder import MAX_AT_ONCE, UploadFolder

_READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|app_id|startup-events|theme\.css|upload_progress|queue/data|heartbeat/\w+)"
    r"|/gradio_api/file=/.+"  # a path of this machine: Gradio serves those below its own folder only
)
_EVENTS = ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")
UPLOAD, _PROGRESS = "/gradio_api/upload", "/gradio_api/upload_progress"
_ANSWERS, _HEARTBEAT = "/gradio_api/queue/data", "/gradio_api/heartbeat/"
POLL_SECONDS = 0.2
KEPT_UPLOAD_NAMES = 500
LOOK_BYTES = 8_000_000  # of one upload, between two looks at the room that is left
MAX_PATH, MAX_NAME = 2000, 255  # characters, and bytes; Linux has 4096 and 255


class Visitors(Protocol):
    """See `i2v.web.page.sessions.Sessions`, which is Gradio's as well."""

    functions: Container[int]

    async def admit(self, session: str) -> None: ...

    def has_answers(self, session: str) -> bool: ...

    def streaming(self, session: str) -> AbstractContextManager[None]: ...


class PageMount(Mount):
    """Gradio's application, seen at the paths above only; it may stand before all other routes."""

    def __init__(
        self,
        app: ASGIApp,
        closing: threading.Event,
        visitors: Visitors,
        uploads: UploadFolder,
        forget_progress: Callable[[str], None],
    ) -> None:
        super().__init__("", app=_Gate(app, closing, visitors, uploads, forget_progress), name="page")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        path, method = path_of(scope), scope["method"]
        if method == "POST":
            known = path in (*_EVENTS, UPLOAD)
        else:
            known = method in ("GET", "HEAD") and _can_be_a_file(path) and bool(_READ.fullmatch(path))
        return super().matches(scope) if known else (Match.NONE, {})


def _can_be_a_file(path: str) -> bool:
    """Tell whether a file system would look for it: for a longer name, Gradio knows no answer."""
    return len(path) <= MAX_PATH and all(len(part.encode()) <= MAX_NAME for part in path.split("/"))


class _Gate:
    """Refuses what Gradio could not answer, bounds the rest, and ends streams when the server ends."""

    def __init__(
        self,
        app: ASGIApp,
        closing: threading.Event,
        visitors: Visitors,
        uploads: UploadFolder,
        forget_progress: Callable[[str], None],
    ) -> None:
        self._app = app
        self._closing = closing
        self._visitors = visitors
        self._uploads = uploads
        self._forget_progress = forget_progress
        self._watching = 0
        self._upload_names: dict[str, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        if path in _EVENTS:
            await self._event(scope, receive, send)
        elif path == UPLOAD:
            await self._upload(scope, receive, send)
        elif path == _PROGRESS:
            await self._progress(scope, receive, send)
        elif path == _ANSWERS:
            session = name_in_query("session_hash", scope["query_string"])
            if not self._visitors.has_answers(session):
                raise InvalidRequest("page.unknown_session", value=shown(session))
            await self._stream(scope, receive, send, self._visitors.streaming(session))
        elif path.startswith(_HEARTBEAT):
            session = check_name("session_hash", path.removeprefix(_HEARTBEAT))
            await self._stream(scope, receive, send, self._visitors.streaming(session))
        else:
            await self._answer(scope, receive, send)

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_json_type(_content_type(scope))
        body = await _read(receive)
        session = await run_sync(check_event, path_of(scope), body, self._visitors.functions)
        if session is not None:
            await self._visitors.admit(session)
        await self._answer(_plain_json(scope), _again(body, receive), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one upload in if there is room."""
        check_form_type(_content_type(scope))
        if b"upload_id=" in scope["query_string"]:
            self._note_upload(name_in_query("upload_id", scope["query_string"]))
        with self._uploads.receiving():
            try:
                await run_sync(self._uploads.make_room)
                await self._answer(scope, self._with_room(receive), send)
            except ClientDisconnect:
                pass  # nobody is there to be answered
            except OSError as error:
                raise not_stored(self._uploads.folder, error) from error

    def _with_room(self, receive: Receive) -> Receive:
        """Return a `receive` that looks now and then whether there still is room for what arrives."""
        unseen = 0

        async def receive_with_room() -> Message:
            nonlocal unseen
            message = await receive()
            unseen += len(message.get("body", b""))
            if unseen > LOOK_BYTES:
                unseen = 0
                await run_sync(self._uploads.make_room)
            return message

        return receive_with_room

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer, but raise its own status 500, which is then answered as everywhere else."""
        reasons: list[I2VError] = []
        has_failed = False

        async def receive_seen() -> Message:
            try:
                return await receive()
            except I2VError as error:
                reasons.append(error)
                raise

        async def send_unless_failed(message: Message) -> None:
            nonlocal has_failed
            has_failed = has_failed or message.get("status") == 500
            if not has_failed and not reasons:
                await send(message)

        try:
            await self._app(scope, receive_seen, send_unless_failed)
        except I2VError as error:
            raise (reasons or [error])[0] from None
        if has_failed or reasons:
            raise (reasons or [I2VError("http.internal", kind="Gradio")])[0]

    async def _progress(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._note_upload(name_in_query("upload_id", scope["query_string"]))
        if self._watching >= MAX_AT_ONCE:  # Gradio looks twenty times a second for each
            raise I2VError("page.busy")
        self._watching += 1
        try:
            await self._stream(scope, receive, send, nullcontext())
        finally:
            self._watching -= 1

    def _note_upload(self, name: str) -> None:
        """Keep the names of the last uploads, and let Gradio forget others, which it does not by itself."""
        self._upload_names.pop(name, None)
        self._upload_names[name] = None
        while len(self._upload_names) > KEPT_UPLOAD_NAMES:
            oldest = next(iter(self._upload_names))
            del self._upload_names[oldest]
            self._forget_progress(oldest)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, while_open: AbstractContextManager[None]
    ) -> None:
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
        with while_open:
            await self._app(scope, receive_or_leave, send_seen)
        if open_response:
            await send({"type": "http.response.body", "body": b""})


def _content_type(scope: Scope) -> str:
    """Return what the body is said to be; twice is nothing that is known."""
    return ", ".join(Headers(scope=scope).getlist("content-type"))


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise InvalidRequest("page.too_large", allowed=MAX_BYTES)
        if not message.get("more_body", False):
            return bytes(body)


def _plain_json(scope: Scope) -> Scope:
    """Return `scope` with the content type and nothing besides, such as an encoding."""
    changed = {**scope, "headers": list(scope["headers"])}
    MutableHeaders(scope=changed)["content-type"] = "application/json"
    return changed


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
