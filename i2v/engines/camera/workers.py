"""Threads that share the work on one frame.

numpy and Pillow let other threads run while they compute. Deliberately does not know what the work is.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Workers:
    """`count` threads, or none of its own where that is 1. Use it in a `with` statement."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"at least one thread is needed: {count}")
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="camera-move") if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def spread(self, total: int, work: Callable[[range], None]) -> None:
        """Call `work` with ranges that make up range(total), and wait; the first exception is raised."""
        if self._pool is None:
            work(range(total))
            return
        shares = max(1, min(total, 2 * self._count))
        bounds = [total * share // shares for share in range(shares + 1)]
        for _ in self._pool.map(work, map(range, bounds[:-1], bounds[1:])):
            pass
