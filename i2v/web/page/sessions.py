"""Gradio's memory of its visitors, bounded: how many windows it knows, and what waits for each.

Each window takes a few hundred kilobytes here. Gradio keeps ten thousand, and the answers that nobody
fetches. A window that is open keeps a stream open (`streaming`), and is the last to be forgotten. One that
was forgotten begins anew at its next event, as after a restart. Does not know what is on the page.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager

from gradio.blocks import Blocks
from gradio.state_holder import StateHolder
from gradio.utils import cancel_tasks

from i2v.core.errors import I2VError

MAX_SESSIONS = 200
MAX_OPEN_SESSIONS = 400  # beyond `MAX_SESSIONS` only open windows are kept, up to here
KEPT_SECONDS = 3600.0  # without a stream and without an event
UNREAD_SECONDS = 20.0  # a window fetches its answers at once
MAX_EVENTS = 40  # under way for one window, which has a handful when it opens
MAX_ALL_EVENTS = 1000  # and for all; Gradio itself forgets the answers of whoever is beyond the 2000th


class Sessions(StateHolder):
    """Takes the place of Gradio's own."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._queue = blocks._queue
        self._streams: Counter[str] = Counter()
        self._last_seen: dict[str, float] = {}  # also of those that have sent an event and no more
        self._tasks: set[asyncio.Task[None]] = set()
        self.functions: Container[int] = {number for number, it in blocks.fns.items() if it.fn is not None}
        self.set_blocks(blocks)
        self.capacity = MAX_SESSIONS

    async def admit(self, session: str) -> None:
        """Let `session` send one more event; raise `I2VError` if too many are under way.

        Those that nobody fetches the answers of are ended first.
        """
        if len(self._queue.pending_event_ids_session.get(session, ())) >= MAX_EVENTS:
            raise I2VError("page.busy")
        while self._is_full():
            oldest = next((one for one in self._last_seen if self._is_unread(one)), None)
            if oldest is None:
                raise I2VError("page.busy")
            await self._drop_answers(oldest)
        self._last_seen.pop(session, None)  # so that who was seen last stands last
        self._last_seen[session] = time.monotonic()

    def _is_full(self) -> bool:
        waiting, under_way = self._queue.pending_messages_per_session, self._queue.event_ids_to_events
        return max(len(waiting), len(under_way)) >= MAX_ALL_EVENTS

    def _is_unread(self, session: str) -> bool:
        return session not in self._streams and self._has_work(session)

    def has_answers(self, session: str) -> bool:
        """Tell whether there is something to fetch, or will be."""
        return session in self._queue.pending_messages_per_session

    @contextmanager
    def streaming(self, session: str) -> Iterator[None]:
        """Know `session` as open within the block."""
        self._streams[session] += 1
        try:
            yield
        finally:
            self._streams[session] -= 1
            if not self._streams[session]:
                del self._streams[session]
            self._last_seen[session] = time.monotonic()

    def update(self, session_id: str) -> None:
        """Gradio's name for: this session was used, and may be new."""
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            closed = (one for one in self.session_data if one != session_id and one not in self._streams)
            surplus = [
                one for _, one in zip(range(len(self.session_data) - self.capacity), closed, strict=False)
            ]
            if not surplus and len(self.session_data) > MAX_OPEN_SESSIONS:
                surplus = [next(iter(self.session_data))]
            for one in surplus:
                self._forget(one)

    def delete_all_expired_state(self) -> None:
        """Forget who has left; Gradio calls this every second, in its event loop."""
        super().delete_all_expired_state()  # type: ignore[no-untyped-call]
        now = time.monotonic()
        for session, seen in list(self._last_seen.items()):
            if session in self._streams:
                continue
            if now - seen > UNREAD_SECONDS and self._has_work(session):
                task = asyncio.get_running_loop().create_task(self._drop_answers(session))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if now - seen > KEPT_SECONDS:
                with self.lock:
                    self._forget(session)

    def _has_work(self, session: str) -> bool:
        return self.has_answers(session) or session in self._queue.pending_event_ids_session

    async def _drop_answers(self, session: str) -> None:
        """End the events of `session`, and let go what was to be fetched."""
        queue = self._queue
        ids = queue.pending_event_ids_session.pop(session, set())
        events = [event for one in ids if (event := queue.event_ids_to_events.get(one)) is not None]
        await queue.clean_events(session_hash=session)  # from here on they have nobody to tell
        queue.pending_messages_per_session.pop(session, None)
        await cancel_tasks({f"{session}_{event.fn._id}" for event in events})

    def _forget(self, session: str) -> None:
        self.session_data.pop(session, None)
        self.time_last_used.pop(session, None)
        if not self._has_work(session):
            self._last_seen.pop(session, None)
