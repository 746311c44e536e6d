"""Signals that end a program: before there is anything to undo, while it is undone, and after.

What they stop is not known here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from i2v.core.messages import catalogue

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # the exit code
PATIENCE = 5.0  # seconds that the unwinding has for itself
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_at_once() -> None:
    """Let a signal end the process where it stands, with `INTERRUPTED`, while modules are loaded.

    Without an exception: in the middle of an import it can get lost, or be taken for the import's failure.
    """

    line = f"i2v: {catalogue()['job.interrupted'].message}\n".encode()

    def end(number: int, frame: FrameType | None) -> None:
        try:
            os.write(2, line)
        finally:
            os._exit(INTERRUPTED)

    for number in _heeded():
        signal.signal(number, end)


def die_of_signals() -> None:
    """Let a signal kill the process, as the system does by itself: its work is done."""
    for number in _heeded():
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Let the first signal be a `KeyboardInterrupt`; give a function that tells whether there was one.

    Those that follow, as from an impatient hand, do not disturb the unwinding, but after `PATIENCE` end the
    process where it stands.
    """
    first: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if first is None:
            first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - first > PATIENCE:
            os._exit(INTERRUPTED)

    previous = {number: signal.getsignal(number) for number in _heeded()}
    try:
        for number in previous:
            signal.signal(number, stop)
        yield lambda: first is not None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the system send this process a signal when its parent ends, however it does; on Linux only.

    That is the parent's thread that has started it. A program that this becomes by `exec` has it too.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before that took hold
        os._exit(1)


@contextmanager
def children_out_of_reach() -> Iterator[None]:
    """Let processes that `multiprocessing` starts in the block never get SIGINT, not even while they load.

    Ctrl-C at a terminal goes to every process there, but is meant for the first one, which ends the others.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start, at the latest with the first child, would undo the mask
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _heeded() -> list[signal.Signals]:
    """Return those that are not ignored, as SIGHUP is under nohup: they stay so."""
    return [number for number in ENDING if signal.getsignal(number) not in (signal.SIG_IGN, None)]


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
    previous = {number: signal.getsignal(number) for number in _heeded()}
    try:
        for number in previous:
            signal.signal(number, lambda number, frame: waiting.append(number))
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if not drop:
            for caught in waiting:
                signal.raise_signal(caught)
