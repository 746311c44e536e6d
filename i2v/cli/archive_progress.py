"""What the commands about archives print: how far one is, and how much is in it."""

from __future__ import annotations

import sys


def counted(number: int, noun: str) -> str:
    """Return "1 job", "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ArchiveProgress:
    """Called with the bytes that are done, of how many; says nothing where standard error is no terminal."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent != self._shown and sys.stderr.isatty():
            self._shown = percent
            print(
                f"\r{self._words}: {percent:3} % of {total / 1e6:.1f} MB", end="", file=sys.stderr, flush=True
            )

    def end(self) -> None:
        if self._shown >= 0:
            print(file=sys.stderr)
