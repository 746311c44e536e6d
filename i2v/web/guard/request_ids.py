"""Each request has an id, which stands in its answer, in the log's lines about it, and with the job it makes.

One ASGI middleware outside all others. A trusted proxy's `X-Request-Id` is kept, so that both logs have the
same; anybody else's counts for nothing, since it could be made to look like another request's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from i2v.core.log_context import about_request, is_request_id, new_request_id

HEADER = "X-Request-Id"


class RequestIds:
    """The middleware.

    Args:
        proxies: addresses and networks whose word counts.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._given(scope) or new_request_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with about_request(request_id):
            await self._app(scope, receive, send_with_id)

    def _given(self, scope: Scope) -> str | None:
        """Return the id that a trusted proxy has sent, if it is one."""
        given = Headers(scope=scope).getlist(HEADER)
        peer = scope["client"][0] if scope.get("client") else ""
        if len(given) != 1 or not is_request_id(given[0]) or not self._is_proxy(peer):
            return None
        return given[0]

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:  # a Unix socket has none
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)
