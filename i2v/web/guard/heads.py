"""HEAD is answered wherever GET is: with the same status and headers, and nothing after them.

One ASGI middleware around the routes, which know GET alone. What GET would go on to do, read a file or follow
a job, is stopped as soon as the headers are there.
"""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # Ranges are of GET alone (RFC 9110, 14.2).
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"range", b"if-range")]
        with anyio.CancelScope() as rest:

            async def send_head(message: Message) -> None:
                if message["type"] != "http.response.start" or rest.cancel_called:
                    return
                rest.cancel()  # takes effect when this is sent
                with anyio.CancelScope(shield=True):
                    await send(message)
                    await send({"type": "http.response.body", "body": b""})

            await self._app({**scope, "method": "GET", "headers": headers}, receive, send_head)
