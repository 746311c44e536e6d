"""Which lanes may look for a job now: many of them ask the database no more often than a few would.

What one is told holds for all that are alike, for a moment. Nothing is decided here: who is let through
claims a job as ever, and may find none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from i2v.jobs.queue import Queue

T = TypeVar("T")

FRESH_SECONDS = 0.1  # that an answer holds
SHARE = (
    0.25  # of the time, that is spent on asking, at most: a long queue that fits nobody is read to its end
)
LIMIT = 8  # lanes that are let through by one answer: each claim waits for the disk


@dataclass
class _Answer:
    """`left`: how many more are let through."""

    left: int
    until: float


class Gate:
    """For one dispatcher; its lanes share it. `clock`: seconds."""

    def __init__(self, queue: Queue, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[Hashable, _Answer] = {}
        self._wanted: frozenset[str] = frozenset()
        self._wanted_until = self._next = float("-inf")  # when may be asked again

    def lets_pass(self, device: str, kind: Hashable) -> bool:
        """Tell whether a lane of this device should try to claim a job.

        kind: equal for devices that may take the same jobs, but for those that ask for one of them.
        """
        with self._lock:
            answer = self._answer(device, kind)
            if answer is None or not answer.left:
                return False
            answer.left -= 1
            return True

    def has_work(self, device: str, kind: Hashable) -> bool:
        """Tell whether there seems to be a job for it."""
        with self._lock:
            answer = self._answer(device, kind)
            return answer is not None and answer.left > 0

    def _answer(self, device: str, kind: Hashable) -> _Answer | None:
        if self._clock() >= max(self._wanted_until, self._next):
            self._wanted, self._wanted_until = self._timed(self._queue.wanted_devices)
        key = device if device in self._wanted else kind
        answer = self._answers.get(key)
        is_old = answer is None or self._clock() >= answer.until
        if is_old and self._clock() >= self._next:
            found, until = self._timed(lambda: len(self._queue.claimable(device, LIMIT)))
            answer = self._answers[key] = _Answer(found, until)
        return answer

    def _timed(self, ask: Callable[[], T]) -> tuple[T, float]:
        """Return the answer, and until when it holds."""
        began = self._clock()
        found = ask()
        ended = self._clock()
        self._next = max(self._next, ended + (ended - began) * (1 / SHARE - 1))
        return found, max(self._next, ended + FRESH_SECONDS)
