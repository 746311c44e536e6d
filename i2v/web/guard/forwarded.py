"""Where a request was really sent, and by whom, as a reverse proxy says: address, scheme, host, path.

One ASGI middleware outside all others. After it, a request looks as if its client had sent it here directly,
below `root_path`; what a proxy says is taken from the proxies in the settings alone, and nobody behind this
module, Gradio among them, sees such headers. Deliberately does not know which hosts and clients are let in.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from i2v.core.fields import shown
from i2v.core.setting_values import root_path

_HEADER = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip|x-gradio-server")

log = logging.getLogger(__name__)


def path_of(scope: Scope) -> str:
    """Return the path below `root_path`, as it is written in our routes."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def root_of(scope: Scope) -> str:
    """Return what stands before our paths where the client sees them: "" or /a or /a/b."""
    root: str = scope.get("root_path", "")
    return root


class Forwarded:
    """The middleware.

    Args:
        root_path: where a proxy does not name another one in X-Forwarded-Prefix.
        proxies: addresses and networks whose word counts.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: Iterable[str]) -> None:
        self._app = app
        self._root_path = root_path
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._seen_by_the_client(scope)
        if scope["path"] == scope["root_path"] != "" and scope["method"] in ("GET", "HEAD"):
            # Links of the page are relative: they need the slash at its end.
            query = scope["query_string"].decode("latin-1")
            address = f"{scope['root_path']}/" + (f"?{query}" if query else "")
            await RedirectResponse(address, 307)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _seen_by_the_client(self, scope: Scope) -> Scope:
        peer = scope["client"][0] if scope.get("client") else ""
        given = Headers(scope=scope)
        kept = [(name, value) for name, value in scope["headers"] if not _HEADER.fullmatch(name)]
        seen = {**scope, "headers": kept}
        root = self._root_path
        if self._is_proxy(_address(peer)):
            chain = ",".join(given.getlist("x-forwarded-for"))
            if chain.strip():
                seen["client"] = (self._client(chain, peer), 0)
            if (scheme := _first(given, "x-forwarded-proto").lower()) in ("http", "https"):
                seen["scheme"] = scheme
            if host := _last(given, "x-forwarded-host"):
                others = [pair for pair in kept if pair[0] != b"host"]
                seen["headers"] = [(b"host", host.encode("latin-1")), *others]
            root = _prefix(_last(given, "x-forwarded-prefix")) or root
        elif len(kept) < len(scope["headers"]):
            self._warn(peer)
        return {**seen, **_below(scope, root)}

    def _client(self, chain: str, peer: str) -> str:
        """Return the last address in `chain` that is no proxy: what stands before it, anybody can write."""
        client = peer
        for entry in reversed(chain.split(",")):
            address = _address(entry)
            if address is None:  # "unknown", or nonsense
                break
            client = str(address)
            if not self._is_proxy(address):
                break
        return client

    def _is_proxy(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def _warn(self, peer: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "X-Forwarded headers from %s are ignored. If that is your proxy, add its address to"
                " security.trusted_proxies (docs/proxy.md).",
                shown(peer),
            )


def _below(scope: Scope, root: str) -> dict[str, object]:
    """Return the path with `root` before it, whether the proxy has cut it off or not."""
    path, raw = scope["path"], scope.get("raw_path") or b""
    if path != root and not path.startswith(f"{root}/"):
        path, raw = root + path, root.encode("ascii") + raw
    return {"root_path": root, "path": path, "raw_path": raw}


def _first(headers: Headers, name: str) -> str:
    return ",".join(headers.getlist(name)).partition(",")[0].strip()


def _last(headers: Headers, name: str) -> str:
    """Return the last value: what our own proxy has said, after what was sent to it."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _prefix(given: str) -> str:
    try:
        return root_path(given)
    except ValueError:
        return ""


def _address(entry: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; IPv4 in IPv6 as IPv4."""
    found = re.fullmatch(r"\s*(?:\[([^\]]+)\](?::\d+)?|([^:\s]+)(?::\d+)?|([0-9a-fA-F:.]+))\s*", entry)
    try:
        address = ipaddress.ip_address(found[1] or found[2] or found[3] if found else "")
    except ValueError:
        return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
