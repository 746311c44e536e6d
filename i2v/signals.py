"""Signals that must wait: what is half done when one comes would be left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back(drop: bool = False) -> Iterator[None]:
    """Let the signals that end a program wait for the block's end.

    drop: forget them then, because what they would stop is done. In a thread that is not the main one, where
    Python handles no signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    previous = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        if previous[number] not in (signal.SIG_IGN, None):
            signal.signal(number, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        for number in ENDING:
            if previous[number] not in (signal.SIG_IGN, None):
                signal.signal(number, previous[number])
        if not drop:
            for caught in waiting:
                signal.raise_signal(caught)
