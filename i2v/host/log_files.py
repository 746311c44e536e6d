"""The server's log: logs/app_YYYYMMDD_HHMMSS.log, continued in parts, and what becomes of earlier ones.

One process writes it; what the worker has to say of its jobs comes to it through the service.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import count
from logging.handlers import RotatingFileHandler
from pathlib import Path

from i2v.core.errors import I2VError, Notice
from i2v.core.fields import shown
from i2v.host import error_output
from i2v.host.log_formats import JsonFormatter, TextFormatter
from i2v.host.log_limits import RepetitionLimit

PART_BYTES = 10_000_000  # a longer log goes on in a new file; the full one is called app_....log.1
PARTS = 5  # of one log are kept besides the one that is written
LOGS = 20  # are kept, the new one among them
END_LINES, END_BYTES = 100, 2**20  # of a log are enough to see what it is doing

log = logging.getLogger(__name__)

_REQUESTS = (" INFO uvicorn.access: ", '"logger": "uvicorn.access"')
_NAME = re.compile(r"(app_\d{8}_\d{6}\.log)(\.\d+)?")


@contextmanager
def app_log(folder: Path, quiet: bool = False, as_json: bool = False) -> Iterator[Path | None]:
    """Let all that is logged go to a new file in `folder`, and warnings to standard error too.

    What repeats itself is counted instead. Yields the file's path, `None` where it cannot be written, which
    is said and no obstacle.

    Args:
        quiet: nobody sees standard error: nothing is logged there, and what is written there, by whomever,
            goes to the file. So does the stack of a crash.
        as_json: each line is a JSON object.
    """
    handlers: list[logging.Handler] = []
    if not quiet:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[0].setLevel(logging.WARNING)
    path: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _new_file(folder)
        handlers.append(_Parts(path, takes_crashes=quiet and not faulthandler.is_enabled()))
        _remove_old(folder)
        print(f"Log: {path}", flush=True)
    except OSError as error:
        reason = error.strerror or str(error)
        notice = Notice("doctor.logs_unwritable", {"path": shown(str(folder), limit=300), "reason": reason})
        print(f"i2v: {notice.message}", file=sys.stderr)
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    limit = RepetitionLimit(handlers)
    root = logging.getLogger()
    root.addHandler(limit)
    level = root.level
    root.setLevel(logging.INFO)  # and not the attribute, which loggers that were asked before do not see
    try:
        with error_output.logged_stderr() if quiet else nullcontext():
            yield path
    except Exception as error:
        if quiet:  # on a console, whoever called this says it
            log.error("The server has ended: %s", error, exc_info=not isinstance(error, I2VError))
        raise
    finally:
        root.setLevel(level)
        root.removeHandler(limit)
        limit.close()


class _Parts(RotatingFileHandler):
    """The file, which goes on in a new one when it is full.

    takes_crashes: the interpreter writes its stacks there when it dies.
    """

    def __init__(self, path: Path, takes_crashes: bool) -> None:
        super().__init__(
            path, maxBytes=PART_BYTES, backupCount=PARTS, encoding="utf-8", errors="backslashreplace"
        )
        self._takes_crashes = takes_crashes
        self._take_crashes()

    def doRollover(self) -> None:
        super().doRollover()
        self._take_crashes()

    def close(self) -> None:
        if self._takes_crashes:
            faulthandler.disable()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Complain of a full disk to standard error; but not of what came from there."""
        if record.name != error_output.NAME:
            super().handleError(record)

    def _take_crashes(self) -> None:
        if self._takes_crashes and self.stream is not None:
            faulthandler.enable(self.stream)


def _new_file(folder: Path) -> Path:
    """Make the file that is named after this second, or after the next one that has none."""
    now = datetime.now()
    for seconds in count():
        path = folder / f"app_{now + timedelta(seconds=seconds):%Y%m%d_%H%M%S}.log"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError("seconds do not end")


def find_logs(folder: Path) -> list[Path]:
    """Return the logs of all starts, the newest first."""
    names = {match[1] for path in folder.glob("app_*") if (match := _NAME.fullmatch(path.name))}
    return [folder / name for name in sorted(names, reverse=True)]


def read_end(path: Path) -> str:
    """Return the last lines of a log, however long it is: up to `END_LINES`, of its last `END_BYTES`.

    Those about HTTP requests are left out: they are many, and tell of visitors. Raises `OSError`.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_BYTES))
        lines = file.read(END_BYTES).decode("utf-8", "replace").splitlines()
    if size > END_BYTES:
        del lines[0]  # its beginning is not there
    return "\n".join([line for line in lines if not any(words in line for words in _REQUESTS)][-END_LINES:])


def _remove_old(folder: Path) -> None:
    for path in find_logs(folder)[LOGS:]:
        for part in (path, *folder.glob(f"{path.name}.*")):
            part.unlink(missing_ok=True)
