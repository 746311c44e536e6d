"""What keeps other web pages out, whoever else may come in (`access`).

A web page that somebody visits can make their browser send requests here, even under a name of its own that
it lets point to 127.0.0.1 (DNS rebinding). So every request must name this service as its host, and whatever
changes something must not come from another page. Bodies are cut off by counting what arrives. All of it is
one ASGI middleware, so that it holds for every address of the application.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.settings import Settings
from i2v.host.network import is_loopback, machine_names, resolve
from i2v.web.guard.answer_headers import AnswerHeaders, is_preflight
from i2v.web.guard.forwarded import path_of
from i2v.web.problems import problem_of, respond

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# Health probes name no host (HTTP/1.0), or the address that a balancer knows us by; the answer is a word.
PROBES = ("/healthz", "/readyz")
_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Hosts:
    """What a request may call this service.

    Attributes:
        names: in small letters.
        trusted: those of the settings; a page from there may change things here.
        any_address: also every IP address, as which no other page can pose.
    """

    names: frozenset[str]
    trusted: frozenset[str]
    any_address: bool

    @classmethod
    def of(cls, settings: Settings) -> Hosts:
        host = settings.server.host
        beyond = not is_loopback(resolve(host))
        trusted = frozenset(name.lower() for name in settings.security.allowed_hosts)
        known = {*LOOPBACK_NAMES, host.lower(), *(machine_names() if beyond else ())}
        return cls(trusted | known, trusted, beyond)

    def include(self, name: str | None) -> bool:
        return name is not None and (name in self.names or (self.any_address and _address(name) is not None))


class Guard:
    """The middleware.

    Args:
        max_bytes: that a request may have.
        larger: how many it may have at those paths that take more.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        headers: AnswerHeaders,
        max_bytes: float,
        larger: Mapping[str, int],
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._headers = headers
        self._max_bytes = round(max_bytes)
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = path_of(scope)
        body = _CountedBody(receive, self._larger.get(path, self._max_bytes))
        method, headers = scope["method"], Headers(scope=scope)

        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                self._headers.seal(MutableHeaders(scope=message), method, headers)
            await send(message)

        refusal = self._refusal(path, method, headers)
        if refusal is not None:
            await respond(problem_of(refusal))(scope, receive, send_sealed)
        elif is_preflight(method, headers) and self._headers.reader(headers):
            await Response(status_code=204)(scope, receive, send_sealed)  # before anybody asks for a token
        else:
            await self._app(scope, body.receive, send_sealed)

    def _refusal(self, path: str, method: str, headers: Headers) -> I2VError | None:
        if path in PROBES and method in ("GET", "HEAD"):
            return None
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ", ".join(hosts)
        if not self._hosts.include(host_name(host)):
            return InvalidRequest("http.bad_host", value=shown(host))
        is_reading = method in _READING and not is_preflight(method, headers)
        if is_reading or self._headers.reader(headers):
            return None
        for origin in headers.getlist("origin"):  # none: not a web page
            place = origin.partition("://")[2]  # host and port
            if place.lower() != host.lower() and host_name(place) not in self._hosts.trusted:
                return InvalidRequest("http.foreign_origin", value=shown(origin))
        return None


def _address(name: str) -> str | None:
    """Return an IP address in its usual form, `None` if `name` is none."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return None


def host_name(host: str) -> str | None:
    """Return the name in `name:port`, without the brackets of an IPv6 address; `None` if it is malformed."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/@\\\s]+))(?::\d{1,5})?", host)
    if match is None:
        return None
    name = (match[1] or match[2]).lower().removesuffix(".")
    return _address(name) or name


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
