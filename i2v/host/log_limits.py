"""A log that one repeated line cannot fill: the same line is written so often a minute, then counted.

Knows no files. Lines are the same if they come from one logger at one level and differ in numbers only.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
TROUBLE_LINES = 30  # of one kind of warning or error in a window
OTHER_LINES = 1000  # of one kind of other line: requests, above all
MAX_KINDS = 500  # that are told apart; whoever invents more shares one count

_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", re.IGNORECASE)

Kind = tuple[str, int, str]


@dataclass
class _Window:
    since: float
    lines: int = 0
    left_out: int = 0


class RepetitionLimit(logging.Handler):
    """Hands records on to other handlers, but for those that repeat themselves too often."""

    def __init__(
        self, targets: Sequence[logging.Handler], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._targets = targets
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        self._end_windows(now)
        kind = self._kind_of(record)
        window = self._windows.setdefault(kind, _Window(now))
        if window.lines < (TROUBLE_LINES if record.levelno >= logging.WARNING else OTHER_LINES):
            window.lines += 1
            self._hand_on(record)
        else:
            window.left_out += 1

    def close(self) -> None:
        """Say what was left out, and close the others."""
        self.acquire()
        try:
            self._end_windows(float("inf"))
        finally:
            self.release()
        for target in self._targets:
            target.close()
        super().close()

    def _kind_of(self, record: logging.LogRecord) -> Kind:
        # Some are put together before they are logged; of a traceback, the last line tells which it is.
        text = str(record.msg)
        ends = text if len(text) <= 300 else f"{text[:150]} … {text[-150:]}"
        kind = record.name, record.levelno, _NUMBERS.sub("#", ends)
        if kind in self._windows or len(self._windows) < MAX_KINDS:
            return kind
        return record.name, record.levelno, "other lines"

    def _end_windows(self, now: float) -> None:
        ended = [kind for kind, window in self._windows.items() if now - window.since >= WINDOW_SECONDS]
        for kind in ended:
            window = self._windows.pop(kind)
            if window.left_out:
                name, level, text = kind
                self._hand_on(_summary(name, level, text, window.left_out))

    def _hand_on(self, record: logging.LogRecord) -> None:
        for target in self._targets:
            if record.levelno >= target.level:
                target.handle(record)


def _summary(name: str, level: int, text: str, count: int) -> logging.LogRecord:
    arguments = (" ".join(text.split()), count)
    return logging.LogRecord(name, level, __file__, 0, '"%s" was repeated %d times', arguments, None)
