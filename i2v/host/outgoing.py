"""Sends one HTTP request to an address that somebody else has chosen, and to no place that only we can reach.

Owns which addresses are public, and that the very address that was checked is the one that is connected to:
the name is resolved once, every address that it has is looked at, and TLS and the Host header still have the
name (a name server that says something else a moment later changes nothing: DNS rebinding). Proxies of the
environment are not asked, redirects are not followed, and one deadline counts for all of it but the name
server. Deliberately does not know what is sent, nor when it is sent again.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import h11

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.webhook import host_of

MAX_ANSWER = 65_536  # bytes of an answer that are read, headers and body; of what stands there none is kept
OPEN_PORTS = (80, 443)
FIRST_FREE_PORT = 1024  # below, other protocols live, which a request might mean something to

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
# What the `ipaddress` of some Python that we support takes for public (IANA's registries of special-purpose
# addresses), and Azure's platform address, which is public by its number alone.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16"),
            *("64:ff9b:1::/48", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"),
        ),
    )
)


class Destinations:
    """Tells which receivers may be reached: those on the internet, and what the settings add."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed`: names, addresses and networks, as `setting_values.host_or_network` has them."""
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for each in allowed:
            try:
                self._networks.append(ipaddress.ip_network(each))
            except ValueError:
                self._names.add(each)

    def check(self, url: str) -> None:
        """Refuse (`InvalidRequest`, `webhook.*`) what can be told without a name server."""
        _, name, port = host_of(url)
        address = _parsed(name)
        if address is not None:
            self._check_address(address, name, port)
        elif name not in self._names:
            if name == "localhost" or name.endswith(".localhost"):
                raise InvalidRequest("webhook.private", host=shown(name))
            self._check_port(name, port)

    def resolve(self, url: str) -> list[str]:
        """Return the addresses of the URL's host, all of which may be reached.

        Raises:
            InvalidRequest: `webhook.private`, `webhook.port`.
            I2VError: `webhook.no_address`.
        """
        self.check(url)
        _, name, port = host_of(url)
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = shown(str(getattr(error, "strerror", None) or error), limit=100)
            raise I2VError("webhook.no_address", host=shown(name), reason=reason) from error
        addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
        if name not in self._names:
            for each in addresses:
                self._check_address(ipaddress.ip_address(each.partition("%")[0]), name, port)
        return addresses

    def _check_address(self, address: Address, name: str, port: int) -> None:
        real = _embedded(address)
        if any(real in network for network in self._networks):
            return
        if not is_public(real):
            raise InvalidRequest("webhook.private", host=shown(name))
        self._check_port(name, port)

    def _check_port(self, name: str, port: int) -> None:
        if port not in OPEN_PORTS and port < FIRST_FREE_PORT:
            raise InvalidRequest("webhook.port", host=shown(name), port=port)


def is_public(address: Address) -> bool:
    """Tell whether anybody on the internet can reach `address`."""
    is_special = address.is_multicast or address.is_reserved or any(address in each for each in _SPECIAL)
    return address.is_global and not is_special


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    destinations: Destinations,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Send a POST request and return the status of the answer, whatever it is.

    Args:
        seconds: for connecting, sending and the answer's headers together.
        tls: which certificates count; `None`: those of the system.
    Raises:
        InvalidRequest: as `Destinations.resolve`; nothing was connected to.
        I2VError: `webhook.no_address`, `webhook.no_answer`.
    """
    addresses = destinations.resolve(url)
    deadline = time.monotonic() + seconds
    scheme, name, port = host_of(url)
    try:
        with _connect(addresses, port, deadline) as plain:
            if scheme == "http":
                return _exchange(plain, url, body, headers, deadline)
            context = ssl.create_default_context() if tls is None else tls
            plain.settimeout(_left(deadline))
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return _exchange(secure, url, body, headers, deadline)
    except TimeoutError as error:
        raise I2VError("webhook.no_answer", reason=f"nothing within {seconds:g} s") from error
    except (OSError, h11.ProtocolError) as error:  # an SSLError is an OSError
        reason = shown(str(getattr(error, "strerror", None) or error), limit=100)
        raise I2VError("webhook.no_answer", reason=reason) from error


def _connect(addresses: Iterable[str], port: int, deadline: float) -> socket.socket:
    """Return a connection to the first address that takes one."""
    refused: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), _left(deadline))
        except TimeoutError:
            raise
        except OSError as error:
            refused = error
    raise refused


def _exchange(
    connection: socket.socket, url: str, body: bytes, headers: Mapping[str, str], deadline: float
) -> int:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    own = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close"}
    http = h11.Connection(h11.CLIENT)
    request = http.send(h11.Request(method="POST", target=target, headers=list({**own, **headers}.items())))
    assert request is not None  # but for ConnectionClosed, there are bytes
    connection.settimeout(_left(deadline))
    connection.sendall(request + body)
    http.send(h11.Data(data=body))
    http.send(h11.EndOfMessage())
    read = 0
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            return event.status_code  # the body is nobody's business, however long it is
        if event is not h11.NEED_DATA and not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("no answer before the connection's end")
        if event is h11.NEED_DATA:
            if read > MAX_ANSWER:
                raise h11.RemoteProtocolError(f"more than {MAX_ANSWER} bytes before the answer's end")
            connection.settimeout(_left(deadline))
            received = connection.recv(8192)
            read += len(received)
            http.receive_data(received)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _parsed(name: str) -> Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
