"""What a process writes to its standard error, as records of its log: tracebacks, warnings, libraries' words.

A server in the background has nobody who sees it. The descriptor itself is taken, so that what is written
past Python arrives too. Lines that come together become one record. Knows no files.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "stderr"  # of the logger
MAX_BYTES = 65_536  # of one record
PAUSE_SECONDS = 0.1  # without a word: what comes after it is another record

log = logging.getLogger(NAME)


@contextmanager
def logged_stderr() -> Iterator[None]:
    """Log what is written to standard error within the block, by this process and what it starts.

    There must be no handler that writes there.
    """
    sys.stderr.flush()
    usual = os.dup(2)
    ours, theirs = os.pipe()
    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(ours, ended), name="stderr", daemon=True)
    os.dup2(theirs, 2)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(usual, 2)
        os.close(usual)
        ended.set()
        os.write(theirs, b"\n")  # a process that lives on may hold the other end: nobody waits for its end
        os.close(theirs)
        reader.join()
        os.close(ours)


def _read(source: int, ended: threading.Event) -> None:
    waiting = b""
    while True:
        pause = 0 if ended.is_set() else PAUSE_SECONDS if waiting else None
        is_there = bool(select.select([source], [], [], pause)[0])
        chunk = os.read(source, MAX_BYTES) if is_there else b""
        waiting += chunk
        if chunk and len(waiting) < MAX_BYTES:
            continue
        text = waiting.decode("utf-8", "backslashreplace").strip()
        waiting = b""
        if text:
            log.warning(text)
        if not chunk and ended.is_set():
            return
