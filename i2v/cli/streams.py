"""Standard streams that are closed, full or read by nobody: a print never fails, and what was lost is known.

Python leaves `sys.stdout` at `None` where the descriptor is closed, raises in the middle of the work where a
disk is full, and complains once more at its end. Here writing never raises: the work goes on to its end, and
the command line asks `why_lost` for what to say then. Knows no command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MODES = {0: os.O_RDONLY, 1: os.O_RDWR, 2: os.O_RDWR}


class _Output(io.RawIOBase):
    """Writes to a descriptor for as long as that works.

    error: why the descriptor cannot be written, from the first failure on; what comes then is dropped.
    """

    def __init__(self, descriptor: int, error: OSError | None = None) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.error = error

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                self.error = error
        return size


def open_streams() -> None:
    """Give the process its three streams back, and let writing to them never raise.

    To be called before a file is opened: that one would get the number of a closed stream, and be written to.
    """
    closed = [number for number in MODES if not _is_open(number)]
    for number in closed:  # in their order: the system gives the lowest number that is free
        os.open(os.devnull, MODES[number])
        os.set_inheritable(number, True)
    if 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _opened(sys.stdout, 1, is_closed=1 in closed)
    sys.stderr = _opened(sys.stderr, 2, is_closed=2 in closed)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _opened(given: TextIO | None, descriptor: int, is_closed: bool) -> TextIO:
    """Return the stream with the properties of the `given` one; `None`: it was closed at Python's start."""
    raw = _Output(descriptor, OSError(errno.EBADF, "it is closed") if is_closed else None)
    if not isinstance(given, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
    is_unbuffered = isinstance(given.buffer, io.RawIOBase)  # PYTHONUNBUFFERED, as Python has it
    buffer = cast("io.BufferedWriter[_Output]", raw) if is_unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=given.encoding,
        errors="backslashreplace" if given.errors == "strict" else given.errors,
        line_buffering=given.line_buffering,
        write_through=given.write_through,
    )


def why_lost(stream: TextIO) -> OSError | None:
    """Write out what is buffered; return why something could not be written, if so."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw.error if isinstance(raw, _Output) else None
