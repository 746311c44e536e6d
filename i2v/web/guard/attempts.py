"""Wrong guesses, counted for each address: who made too many has to wait.

In memory, of bounded size, and forgotten at the next start.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_KNOWN = 4096


@dataclass(frozen=True)
class Limit:
    """`burst` failures at once, then one more after every `seconds`."""

    burst: int
    seconds: float


class Attempts:
    """A leaky bucket for each name, kept as the time at which it will be empty."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._empty_at)

    def seconds_to_wait(self, name: str) -> int:
        """Return after how long `name` may try again: 0 for now."""
        full = self._limit.seconds * (self._limit.burst - 1)  # up to here, one more fits in
        filled = self._empty_at.get(name, 0.0) - self._clock()
        return max(0, math.ceil(filled - full))

    def add_failure(self, name: str) -> None:
        now = self._clock()
        self._empty_at[name] = max(now, self._empty_at.get(name, 0.0)) + self._limit.seconds
        self._empty_at.move_to_end(name)
        if len(self._empty_at) > MAX_KNOWN:
            self._empty_at.popitem(last=False)


def network_of(address: str) -> str:
    """Return what stands for a client: its IPv4 address, or the /64 of IPv6 that one client has to itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a socket that is not of the internet
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)
