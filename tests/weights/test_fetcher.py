"""What a library's error means: try again, do not, or look at the disk."""

from __future__ import annotations

import errno
import ssl
from types import SimpleNamespace

import pytest

from i2v.weights.fetcher import _failure
from i2v.weights.hubs import CaptivePortal


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.response = SimpleNamespace(status_code=status)
        super().__init__("refused")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Refused(404), {"failed": "HTTP 404", "lasting": True}),
        (Refused(429), {"failed": "HTTP 429", "lasting": False}),
        (Refused(502), {"failed": "HTTP 502", "lasting": False}),
        (caused(ValueError("x"), Refused(403)), {"failed": "HTTP 403", "lasting": True}),
        (ConnectionRefusedError(111, "refused"), {"failed": "[Errno 111] refused", "lasting": False}),
        (PermissionError(13, "a firewall's"), {"failed": "[Errno 13] a firewall's", "lasting": False}),
        (
            ModuleNotFoundError("no", name="modelscope_hub"),
            {"failed": "the package modelscope_hub is not installed", "lasting": True},
        ),
        (OSError(errno.ENOSPC, "full"), {"disk": "No space left on device", "full": True}),
        (caused(ValueError("x"), OSError(errno.EDQUOT, "")), {"disk": "Disk quota exceeded", "full": True}),
        (PermissionError(errno.EACCES, "no", "/file"), {"disk": "Permission denied", "full": False}),
        (TimeoutError(), {"failed": "TimeoutError", "lasting": False}),
        (ValueError("many\nlines " * 100), {"failed": ("many lines " * 100)[:200], "lasting": False}),
    ],
)  # fmt: skip
def test_an_error_is_reported_by_what_can_be_done_about_it(
    error: Exception, answer: dict[str, object]
) -> None:
    assert _failure(error) == answer


def test_a_page_to_log_in_is_reported_as_one_behind_whatever_a_library_raises() -> None:
    answer = _failure(caused(ValueError("x"), CaptivePortal("login.hotel.example")))
    assert (answer["portal"], answer["lasting"]) == ("login.hotel.example", False)
    other = _failure(caused(ValueError("x"), ssl.SSLCertVerificationError(1, "certificate verify failed")))
    assert "may ask you to log in" in str(other["failed"])
