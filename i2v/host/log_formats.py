"""How a line of the log looks: as text, or as one JSON object. Both are cut where nobody reads on."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from i2v.core.log_context import request_id_of

MAX_CHARACTERS = 20_000  # of a line with its traceback
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class TextFormatter(logging.Formatter):
    """The line, and at the end of its message the request that it is about."""

    def __init__(self, template: str = TEXT) -> None:
        super().__init__(template)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line, request_id = super().formatMessage(record), request_id_of(record)
        return f"{line} [{request_id}]" if request_id else line

    def format(self, record: logging.LogRecord) -> str:
        return shortened(super().format(record))


class JsonFormatter(logging.Formatter):
    """An object of time (ISO 8601, UTC), level, logger and message; request_id and traceback if there are."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": shortened(record.getMessage()),
        }
        if request_id := request_id_of(record):
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = shortened(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def shortened(line: str) -> str:
    """Return a line without the middle, if it is longer than anybody reads."""
    if len(line) <= MAX_CHARACTERS:
        return line
    half = MAX_CHARACTERS // 2
    return f"{line[:half]}\n[… {len(line) - 2 * half} characters …]\n{line[-half:]}"
