"""A measurement in a process of its own: its words while it runs, its figures or its failure at the end.

Knows nothing of what is measured. Whatever ends the caller ends the process too.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from i2v.core.errors import I2VError
from i2v.core.signals import children_out_of_reach

LOG = "log.txt"  # in the folder that the process is given: all that it and its libraries say
_FAREWELL = 30.0  # seconds for the end of a process that has sent its figures
_LINES = 12  # of the innermost code that a failure names

Task = TypeVar("Task")
Figures = dict[str, object]
Measure = Callable[[Task, Callable[[float], None]], Figures]


@dataclass(frozen=True)
class Failure:
    """How a measurement failed. `where`: "module file:line function", the innermost last."""

    kind: str
    message: str
    code: str | None = None
    where: tuple[str, ...] = ()


class MeasureFailed(Exception):
    """The measurement ended without figures."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def run_apart(
    measure: Measure[Task], task: Task, folder: Path, on_progress: Callable[[float], None], patience: float
) -> Figures:
    """Return what `measure(task, on_progress)` returns, run in a fresh process.

    Args:
        folder: where its log goes.
        on_progress: is called with what share is done.
        patience: seconds without a word after which the process is ended.
    Raises:
        MeasureFailed: it raised, died or was silent.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_inside, args=(measure, task, theirs, folder / LOG), daemon=True)
    with ours:
        try:
            with theirs, children_out_of_reach():
                process.start()
            return _follow(process, ours, on_progress, patience, folder / LOG)
        finally:
            if process.is_alive():
                process.kill()
            process.join()


def _follow(
    process: BaseProcess, words: Connection, on_progress: Callable[[float], None], patience: float, log: Path
) -> Figures:
    while True:
        if not words.poll(patience):
            error = I2VError("bench.silent", seconds=round(patience))
            raise MeasureFailed(Failure("silent", error.message, error.code))
        try:
            word = words.recv()
        except EOFError:
            raise MeasureFailed(_death(process, log)) from None
        if isinstance(word, Failure):
            raise MeasureFailed(word)
        if isinstance(word, dict):
            process.join(_FAREWELL)  # killed, it would leave behind what libraries tidy up at their end
            return word
        on_progress(word)


def _death(process: BaseProcess, log: Path) -> Failure:
    process.join()
    code = process.exitcode or 0
    status = signal.Signals(-code).name if code < 0 else str(code)
    try:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
    except OSError:  # it died before it had one
        last = []
    error = I2VError("bench.died", status=status, words=(last or [""])[0][:300])
    return Failure("died", error.message, error.code)


def _inside(measure: Measure[Task], task: Task, channel: Connection, log: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        channel.send(measure(task, channel.send))
    except BrokenPipeError:  # the caller is gone
        return
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        channel.send(failure_of(error))


def failure_of(error: Exception) -> Failure:
    """Return what a report says of `error`."""
    code = error.code if isinstance(error, I2VError) else None
    lines = [
        f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_LINES:]
    ]
    return Failure(type(error).__name__, " ".join(str(error).split())[:500], code, tuple(lines))
