"""Lines of the log: their form, the request that they are about, and their length."""

from __future__ import annotations

import json
import logging
import sys

from i2v.core.log_context import about_request
from i2v.host.log_formats import MAX_CHARACTERS, JsonFormatter, TextFormatter


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("i2v.x", logging.WARNING, __file__, 0, message, arguments, None)
    vars(made).update(extra)
    return made


def test_a_line_of_text_ends_with_its_request_if_it_has_one() -> None:
    assert TextFormatter("%(levelname)s %(message)s").format(record("a %s", "b")) == "WARNING a b"
    with about_request("r-1"):
        assert TextFormatter("%(message)s").format(record("a")) == "a [r-1]"
        assert TextFormatter("%(message)s").format(record("a", request_id="")) == "a"
    assert TextFormatter("%(message)s").format(record("a", request_id="r-2")) == "a [r-2]"


def test_a_line_of_json_is_one_object_whatever_it_says() -> None:
    with about_request("r-1"):
        line = JsonFormatter().format(
            record('two\nlines, "quoted", 镜头 %s', "\ud800".encode("utf-8", "replace"))
        )
    assert "\n" not in line
    found = json.loads(line)
    assert found["level"] == "WARNING"
    assert found["logger"] == "i2v.x"
    assert found["message"].startswith('two\nlines, "quoted", 镜头 ')
    assert found["request_id"] == "r-1"
    assert found["time"].endswith("+00:00")
    assert "request_id" not in json.loads(JsonFormatter().format(record("a")))


def test_a_traceback_is_a_field_of_its_own() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        failed = record("it failed", exc_info=sys.exc_info())
    found = json.loads(JsonFormatter().format(failed))
    assert found["message"] == "it failed"
    assert found["traceback"].endswith("ValueError: why")


def test_a_line_is_not_longer_than_anybody_reads() -> None:
    long = record("begin" + "x" * 10_000_000 + "end")
    line = TextFormatter("%(message)s").format(long)
    assert line.startswith("begin")
    assert line.endswith("end")
    assert len(line) < MAX_CHARACTERS + 100
    assert len(JsonFormatter().format(long)) < MAX_CHARACTERS + 300
