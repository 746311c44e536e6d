"""Connections: how many may be open, and how long each may keep the server waiting.

Owns the count of all that are open, which one has to go for a newcomer, and the deadlines: for a request's
head, for its body, and for reading the answer. Knows no address of the application.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SPARE = 8  # that may be open beyond the limit until those that had to go have gone

Phase = Literal["head", "body", "answer"]
Turn = Literal["send", "read"]  # what a client has to do next
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Patience:
    """How long a client may take; seconds, but for `slowest`.

    Attributes:
        head: from the connection, or the last answer, to the end of the next request's head.
        body: without a byte of the body.
        slowest: bytes a second that a body must bring on average, `body` seconds of grace apart.
        answer: without reading anything of what waits for it. A player that is paused asks again.
        tick: how often it is looked at.
    """

    head: float = 15
    body: float = 30
    slowest: float = 4096
    answer: float = 300
    tick: float = 1


class Connections:
    """All that are open, and in which order those go that let the server wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0  # sockets
        self._known: set[LimitedProtocol] = set()  # those sockets that have come this far
        self._leaving = 0  # of these, how many have been told to go
        # Those that wait for their clients, to send and to read; who waits longest comes first.
        self._waiting: dict[Turn, dict[LimitedProtocol, None]] = {"send": {}, "read": {}}

    def room(self) -> Literal["yes", "soon", "no"]:
        """Tell whether one more may be opened; the one that says nothing for longest has to go for it."""
        if self.open < self.limit:
            return "yes"
        if self.open < self.limit + SPARE and self.close_longest_waiting():
            return "yes"
        is_moving = self._leaving or len(self._known) < self.open
        return "soon" if is_moving else "no"

    def close_longest_waiting(self) -> bool:
        """Return whether there was one to close; a client that is slow to read goes after those to send."""
        for protocol in chain(*self._waiting.values()):
            self._stop_waiting(protocol)
            self._leaving += 1
            protocol.was_evicted = True
            protocol.transport.abort()
            return True
        return False

    def enter(self, protocol: LimitedProtocol) -> None:
        self._known.add(protocol)
        self._waiting["send"][protocol] = None

    def leave(self, protocol: LimitedProtocol) -> None:
        self._known.discard(protocol)
        self._stop_waiting(protocol)
        self._leaving -= protocol.was_evicted

    def note(self, protocol: LimitedProtocol, turn: Turn | None, is_news: bool) -> None:
        """Keep in mind what the client of `protocol` has to do; it has just done some of it if `is_news`."""
        if turn is None or is_news or protocol not in self._waiting[turn]:
            self._stop_waiting(protocol)
        if turn is not None and not protocol.was_evicted:
            self._waiting[turn].setdefault(protocol)

    def _stop_waiting(self, protocol: LimitedProtocol) -> None:
        for waiting in self._waiting.values():
            waiting.pop(protocol, None)


class LimitedProtocol(H11Protocol):
    """Uvicorn's, with deadlines. Made by `limited`."""

    connections_open: ClassVar[Connections]
    patience: ClassVar[Patience]
    was_evicted = False
    _received = 0  # bytes of this body
    _unread = 0  # bytes of the answer that are still here

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._phase: Phase = "head"
        self._has_sent = False
        self._begin()
        self._timer = self.loop.call_later(self.patience.tick, self._tick)
        self.connections_open.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.connections_open.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_sent = True
        if self._phase == "body":
            self._received += len(data)
            self._last = self.loop.time()
        super().data_received(data)
        self._note(moved="body")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note()

    def resume_writing(self) -> None:
        self._last = self.loop.time()
        super().resume_writing()
        self._note(moved="answer")

    def _begin(self) -> None:
        self._since = self._last = self.loop.time()
        self._received = self._unread = 0

    def _note(self, moved: Phase | None = None) -> None:
        """See what the connection is about now; `moved`: of what the client has just sent or read some."""
        phase = self._find_phase()
        if phase != self._phase:
            self._phase = phase
            self._begin()
        self.connections_open.note(self, self._turn(), phase == moved)

    def _find_phase(self) -> Phase:
        if self.transport.is_closing():
            return "answer"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        is_idle = self.cycle is None or self.cycle.response_complete
        return "head" if is_idle and not self.transport.get_write_buffer_size() else "answer"

    def _turn(self) -> Turn | None:
        """Return what the client has to do; `None` if it can do nothing but wait."""
        if self._phase == "answer":
            return "read" if self.transport.get_write_buffer_size() else None
        is_unwanted = self.flow.read_paused or (self.cycle and self.cycle.waiting_for_100_continue)
        return None if self._phase == "body" and is_unwanted else "send"

    def _tick(self) -> None:
        self._timer = self.loop.call_later(self.patience.tick, self._tick)
        unread = self.transport.get_write_buffer_size()
        self._note(moved="answer" if unread != self._unread else None)
        now = self.loop.time()
        if self._phase == "answer":
            if unread != self._unread or not unread:
                self._unread, self._last = unread, now
            if now - self._last > self.patience.answer:
                self.transport.abort()
        elif self._turn() is None:
            self._since += self.patience.tick
            self._last = now
        elif self._is_too_slow(now):
            self._give_up()

    def _is_too_slow(self, now: float) -> bool:
        if self._phase == "head":
            return now - self._since > self.patience.head
        allowed = self.patience.body + self._received / self.patience.slowest
        return now - self._last > self.patience.body or now - self._since > allowed

    def _give_up(self) -> None:
        is_answered = self.cycle is not None and self.cycle.response_started
        if self._has_sent and (self._phase == "head" or not is_answered):
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def limited(connections: Connections, patience: Patience | None = None) -> type[LimitedProtocol]:
    """Return the protocol for uvicorn's `http`."""

    class Protocol(LimitedProtocol):
        connections_open = connections

    Protocol.patience = patience or Patience()
    return Protocol
