"""File descriptors: how many this process may have, and how many connections that is enough for.

Knows no server. Each process has its own limit, and children inherit it.
"""

from __future__ import annotations

import resource
from pathlib import Path

ENOUGH = 65_536
MOST_CONNECTIONS = 1_000
LEAST_CONNECTIONS = 4
PER_CONNECTION = (
    4  # its socket, and what answers it: a file, or the database (itself, its journal, its index)
)
RESERVE = 64  # the worker's and decoders' pipes, logs, files that are written
_LISTINGS = ("/proc/self/fd", "/dev/fd")


def raise_limit() -> int:
    """Let this process have as many descriptors as it may, up to `ENOUGH`; return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return ENOUGH if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # some systems allow fewer than they say
        return soft
    return most


def connections_within(limit: int, used: int | None = None) -> int:
    """Return how many connections may be open at once if `limit` descriptors are to be enough for all.

    Args:
        used: descriptors that are open already; counted if `None`.
    """
    used = _count() if used is None else used
    left = limit - used - min(RESERVE, limit // 8)
    return max(LEAST_CONNECTIONS, min(MOST_CONNECTIONS, left // PER_CONNECTION))


def _count() -> int:
    for listing in map(Path, _LISTINGS):
        if listing.is_dir():
            return len(list(listing.iterdir()))
    return RESERVE
