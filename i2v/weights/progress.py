"""How a download gets on, for whoever shows it: bytes, speed, what is left; and the one place to stop it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from i2v.core.errors import Cancelled

WINDOW_SECONDS = 10  # that the speed is an average of
QUIET_SECONDS = 0.1  # between two words on one file, at least

Phase = Literal["waiting", "asking", "fetching", "checking", "pausing", "converting"]


@dataclass(frozen=True)
class TransferProgress:
    """What is going on.

    Attributes:
        phase: "waiting" for another process that downloads the same, "asking" sources what they have,
            "fetching" a file, "checking" its hash, "pausing" before the sources are tried again,
            "converting" what was fetched.
        source: the address, or "modelscope".
        file_bytes, file_size: of the file, 0 where there is none.
        done, total: bytes of all files; `total` is 0 until the sizes are known.
        speed: bytes a second over the last seconds, 0 while nothing is fetched.
        eta: seconds until all is fetched, `None` while that cannot be said.
    """

    phase: Phase
    source: str | None
    file: str | None
    file_bytes: int
    file_size: int
    done: int
    total: int
    speed: float
    eta: float | None


class TransferMeter:
    """Counts, and calls `on_progress`; raises `Cancelled` where `cancelled` says so.

    Attributes:
        total: bytes of all files.
        settled: bytes of those that are there and right.
    """

    def __init__(
        self, on_progress: Callable[[TransferProgress], None], cancelled: Callable[[], bool]
    ) -> None:
        self.total = 0
        self.settled = 0
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._last: tuple[Phase | None, str | None] = (None, None)
        self._reported_at = 0.0
        self._marks: deque[tuple[float, int]] = deque()

    def report(
        self,
        phase: Phase,
        source: str | None = None,
        file: str | None = None,
        file_bytes: int = 0,
        file_size: int = 0,
    ) -> None:
        if self._cancelled():
            raise Cancelled("weights.cancelled")
        now = time.monotonic()
        is_end = (phase, file) != self._last or file_bytes in (0, file_size)
        if not is_end and now - self._reported_at < QUIET_SECONDS:
            return
        self._last, self._reported_at = (phase, file), now
        done = self.settled + file_bytes
        speed = self._speed(now, done) if phase == "fetching" else 0.0
        eta = max(self.total - done, 0) / speed if speed else None
        self._on_progress(
            TransferProgress(phase, source, file, file_bytes, file_size, done, self.total, speed, eta)
        )

    def _speed(self, now: float, done: int) -> float:
        if self._marks and done < self._marks[-1][1]:  # begun anew
            self._marks.clear()
        self._marks.append((now, done))
        while now - self._marks[0][0] > WINDOW_SECONDS:
            self._marks.popleft()
        since, before = self._marks[0]
        return (done - before) / (now - since) if now > since else 0.0
