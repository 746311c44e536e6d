"""What keeps strangers out while the service listens on this machine alone.

A web page that somebody visits can make their browser send requests here, even under a name of its own that
it lets point to 127.0.0.1 (DNS rebinding). So every request must name this service as its host, and whatever
changes something must not come from another page. Bodies are cut off by counting what arrives. All of it is
one ASGI middleware, so that it holds for every address of the application.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from i2v.errors import I2VError, InvalidRequest
from i2v.schema import shown
from i2v.settings import SecuritySettings, ServerSettings
from i2v.web.problems import problem_of, respond

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_READING = ("GET", "HEAD", "OPTIONS")


def loopback_address(host: str) -> str:
    """Return the address of `host`, IPv4 if it has one; raise `InvalidRequest` if others can reach it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = shown(str(error), limit=100)
        raise InvalidRequest("server.bad_host", host=shown(host), reason=reason) from error
    addresses = [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in found]
    if not all(address.is_loopback for address in addresses):
        raise InvalidRequest("server.beyond_loopback", host=shown(host))
    return str(min(addresses, key=lambda address: address.version))


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, server: ServerSettings, security: SecuritySettings) -> None:
        self._app = app
        self._allowed = {name.lower() for name in security.allowed_hosts}
        self._hosts = {*LOOPBACK_NAMES, server.host.lower(), *self._allowed}
        self._max_bytes = round(security.max_request_megabytes * 1e6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _CountedBody(receive, self._max_bytes)

        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["method"])
        if refusal is not None:
            await respond(problem_of(refusal))(scope, receive, send_sealed)
            return
        await self._app(scope, body.receive, send_sealed)

    def _refusal(self, headers: Headers, method: str) -> I2VError | None:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ", ".join(hosts)
        if _name(host) not in self._hosts:
            return InvalidRequest("http.bad_host", value=shown(host))
        if method in _READING:
            return None
        for origin in headers.getlist("origin"):  # none: not a web page
            place = origin.partition("://")[2]  # host and port
            if place.lower() != host.lower() and _name(place) not in self._allowed:
                return InvalidRequest("http.foreign_origin", value=shown(origin))
        return None


def _name(host: str) -> str | None:
    """Return the name in `name:port`, without the brackets of an IPv6 address; `None` if it is malformed."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/@\\\s]+))(?::\d{1,5})?", host)
    return (match[1] or match[2]).lower() if match else None


class _CountedBody:
    """A request's body that ends in an error beyond `max_bytes`, whatever Content-Length says.

    What still comes after the answer is thrown away by the server, so that the client gets to read it.
    """

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._count = 0
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self._count <= self._max_bytes:
            return message
        if self.answered:  # nobody reads the body any more, only whether the connection is still there
            return {"type": "http.disconnect"}
        raise InvalidRequest("http.too_large", allowed=self._max_bytes)
