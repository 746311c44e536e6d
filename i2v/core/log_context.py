"""Which request a line of the log is about, wherever in the program it is written.

The id is a context variable: it follows a request through coroutines, and into the threads that `anyio` runs
calls in; the job that came of a request keeps it, and the worker sets it again. Knows no format and no file.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    return secrets.token_hex(8)


def is_request_id(given: str) -> bool:
    """Tell whether an id may stand in logs and headers as it is."""
    return _ID.fullmatch(given) is not None


def current_request_id() -> str:
    """Return the id of the request that this is done for, "" where it is done for none."""
    return _REQUEST_ID.get()


@contextmanager
def about_request(request_id: str | None) -> Iterator[None]:
    """What is logged in the block is about the request with this id, if there is one."""
    token = _REQUEST_ID.set(request_id or "")
    try:
        yield
    finally:
        _REQUEST_ID.reset(token)


def request_id_of(record: logging.LogRecord) -> str:
    """Return the id of a line that is being written: its own, where another process has sent it."""
    own = getattr(record, "request_id", None)
    return own if isinstance(own, str) else current_request_id()
