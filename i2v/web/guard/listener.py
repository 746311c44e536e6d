"""The socket that the server listens at, which never lets in more connections than there is room for.

asyncio's own answer to a lack of descriptors is to listen no more for a second, and to log every failure
there was in it, thousands. So whoever is too many is let in and sent away here. Knows no HTTP but the line
that says so.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from typing import Any

from i2v.web.guard.connections import SPARE, Connections

ACCEPTS = SPARE  # connections that asyncio takes in one go; more come in the next
_SENT_AWAY_AT_ONCE = 64
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

log = logging.getLogger(__name__)


class Listener(socket.socket):
    """Takes over a socket that listens already."""

    def __init__(self, listening: socket.socket, connections: Connections) -> None:
        family, kind, proto = listening.family, listening.type, listening.proto
        super().__init__(family, kind, proto, fileno=listening.detach())
        self._connections = connections
        self._spare = _open_spare()  # a descriptor to let somebody in with where there is none left

    def listen(self, backlog: int = 0, /) -> None:
        """Do nothing: asyncio would make the queue as short as what it takes in one go."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that there is room for; raise `BlockingIOError` if there is none now."""
        for _ in range(_SENT_AWAY_AT_ONCE):
            room = self._connections.room()
            if room == "soon":
                break
            try:
                connection, address = super().accept()
            except OSError as error:
                if error.errno not in _SCARCE:
                    raise
                log.error("A connection cannot be taken: %s", error.strerror)
                self._connections.close_longest_waiting()
                if not self._send_away_with_spare():
                    break
                continue
            if room == "yes":
                return _Counted(connection, self._connections), address
            log.warning("A connection is refused: %d are open", self._connections.open)
            _send_away(connection)
        raise BlockingIOError(errno.EAGAIN, "whoever else is there comes next time")

    def close(self) -> None:
        super().close()
        self._close_spare()

    def _send_away_with_spare(self) -> bool:
        """Return whether there was somebody to send away."""
        self._close_spare()
        try:
            connection, _ = super().accept()
        except OSError:  # nobody is waiting, or somebody else was quicker to take the descriptor
            return False
        else:
            _send_away(connection)
            return True
        finally:
            self._spare = _open_spare()

    def _close_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


class _Counted(socket.socket):
    """A connection that is counted until it is closed."""

    def __init__(self, connection: socket.socket, connections: Connections) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._connections: Connections | None = connections
        connections.open += 1

    def close(self) -> None:
        super().close()
        if self._connections is not None:
            self._connections.open -= 1
            self._connections = None


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None


def _send_away(connection: socket.socket) -> None:
    """Say why, if that can be done without waiting, and close."""
    with connection, contextlib.suppress(OSError):  # it may be gone itself
        connection.setblocking(False)
        connection.send(_FULL)
        connection.shutdown(socket.SHUT_WR)
