"""The memory that a worker holds between jobs, its floor: does it creep?

A floor that rises job after job ends in a machine without memory; a new process starts at the bottom again.
Who measures, and who ends the worker, is not known here.
"""

from __future__ import annotations

ROW = 3  # jobs in a row after which the floor must have been too high


class LeakDetector:
    """Compares each floor with the one after the first job in the same setup."""

    def __init__(self, allowed: int) -> None:
        """Allow `allowed` bytes above the first floor: caches fill up, and freed memory has holes."""
        self._allowed = allowed
        self._first: dict[object, tuple[int, ...]] = {}
        self._row = 0
        self.risen = 0  # bytes above the first floor, by the last measurement

    def creeps(self, setup: object, held: tuple[int, ...]) -> bool:
        """Tell whether `ROW` jobs in a row have left too much behind.

        Args:
            setup: what is loaded, and where: another one has a floor of its own.
            held: bytes now, of each memory.
        """
        first = self._first.setdefault(setup, held)
        self.risen = max(now - before for now, before in zip(held, first, strict=True))
        self._row = self._row + 1 if self.risen > self._allowed else 0
        return self._row >= ROW
