"""This machine on its networks: what it is called, its addresses, and the socket to listen on.

Knows nothing of HTTP, and not who is let in.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

import psutil

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown


def resolve(host: str) -> str:
    """Return the address of `host`, IPv4 if it has one.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = shown(str(error), limit=100)
        raise InvalidRequest("server.bad_host", host=shown(host), reason=reason) from error
    return min((str(row[4][0]) for row in found), key=lambda address: ":" in address)


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach `address`."""
    return _parsed(address).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; at `::`, to IPv4 too.

    Raises:
        InvalidRequest: the host is not this machine.
        I2VError: the port is taken, or not for everybody.
    """
    address = resolve(host)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _parsed(address) == ipaddress.IPv6Address("::"):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidRequest("server.bad_host", host=shown(host), reason=reason) from error
        raise I2VError("server.port_taken", host=shown(host), port=port, reason=reason) from error
    return listener


def addresses(listener: socket.socket) -> list[str]:
    """Return the addresses that `listener` answers at, the loopback's first.

    Where it listens at all of them: those of the interfaces that are up, but for the link-local ones, which
    no browser takes.
    """
    bound = str(listener.getsockname()[0])
    if not _parsed(bound).is_unspecified:
        return [bound]
    families = {socket.AF_INET, listener.family}
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        row.address
        for name, rows in psutil.net_if_addrs().items()
        for row in rows
        if name in up and row.family in families and not _parsed(row.address).is_link_local
    ]
    return sorted(found, key=lambda address: (not is_loopback(address), ":" in address))


def machine_names() -> set[str]:
    """Return the names by which others may call this machine, in small letters. May ask a name server."""
    name = socket.gethostname()
    short = name.partition(".")[0]
    return {known.lower() for known in (name, short, f"{short}.local", socket.getfqdn())}


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.partition("%")[0])  # without the interface: fe80::1%eth0
