"""Which lanes may look for a job now: many of them ask the database no more often than a few would.

What one is told holds for all that are alike, for a moment. Nothing is decided here: who is let through
claims a job as ever, and may find none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from i2v.jobs.queue import Queue

FRESH_SECONDS = 0.1  # that an answer holds
SHARE = 0.25  # of the time that is spent on asking, at most: a queue that fits nobody is read to its end
WANTED_SHARE = 0.05  # the same for the question which devices are asked for: it reads the whole queue
LIMIT = 8  # lanes that are inside at a time: claims come one after another, and wait for the disk


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
        self._inside = 0
        self._wanted: frozenset[str] = frozenset()
        self._wanted_until = self._next = float("-inf")  # when may be asked again

    def lets_pass(self, device: str, kind: Hashable) -> bool:
        """Tell whether a lane of this device should try to claim a job; it says by `leave` when it has.

        kind: equal for devices that may take the same jobs, but for those that ask for one of them.
        """
        with self._lock:
            answer = self._answer(device, kind)
            if answer is None or not answer.left or self._inside >= LIMIT:
                return False
            answer.left -= 1
            self._inside += 1
            return True

    def leave(self) -> None:
        """A lane that was let through has a job, or has found none."""
        with self._lock:
            self._inside -= 1

    def has_work(self, device: str, kind: Hashable) -> bool:
        """Tell whether there seems to be a job for it."""
        with self._lock:
            answer = self._answer(device, kind)
            return answer is not None and answer.left > 0

    def group(self, device: str, kind: Hashable) -> Hashable:
        """Return what is equal for devices that may take the same jobs."""
        return device if device in self._wanted else kind

    def _answer(self, device: str, kind: Hashable) -> _Answer | None:
        answer, began = self._answers.get(self.group(device, kind)), self._clock()
        if began < self._next or (answer is not None and began < answer.until):
            return answer
        if began >= self._wanted_until:
            self._wanted = self._queue.wanted_devices()
            asked, began = began, self._clock()
            self._wanted_until = began + max(FRESH_SECONDS, (began - asked) / WANTED_SHARE)
        found, ended = len(self._queue.claimable(device, LIMIT)), self._clock()
        self._next = ended + (ended - began) * (1 / SHARE - 1)
        answer = _Answer(found, max(self._next, ended + FRESH_SECONDS))
        self._answers[self.group(device, kind)] = answer
        return answer
