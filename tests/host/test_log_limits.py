"""`i2v.host.log_limits`: what repeats itself is counted, and nothing else is lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from i2v.host.log_limits import (
    MAX_KINDS,
    OTHER_LINES,
    TROUBLE_LINES,
    WINDOW_SECONDS,
    RepetitionLimit,
)


class Kept(logging.Handler):
    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Log:
    def __init__(self) -> None:
        self.now = 0.0
        self.all, self.trouble = Kept(), Kept(logging.WARNING)
        self.limit = RepetitionLimit([self.all, self.trouble], clock=lambda: self.now)
        self.logger = logging.Logger("tests.limits")
        self.logger.addHandler(self.limit)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.limit.close()


def test_a_repeated_line_is_written_so_often_and_then_counted(log: Log) -> None:
    for _ in range(2_500_000 // 100):
        log.logger.error("socket.accept() out of system resource")
    log.logger.warning("another matter")
    assert len(log.all.lines) == TROUBLE_LINES + 1
    log.now += WINDOW_SECONDS
    log.logger.info("later")
    reported = [line for line in log.all.lines if "was repeated" in line]
    count = 25_000 - TROUBLE_LINES
    assert reported == [f'"socket.accept() out of system resource" was repeated {count} times']
    assert reported == [line for line in log.trouble.lines if "was repeated" in line], (
        "at the level of the line"
    )
    assert log.all.lines[-1] == "later"


def test_lines_that_differ_in_numbers_only_are_the_same(log: Log) -> None:
    for number in range(100):
        log.logger.warning(f"A connection from 10.0.0.{number} at 0x7f{number:04x}: refused")
        log.logger.warning("connection %d of %s", number, "many")
    assert len(log.all.lines) == 2 * TROUBLE_LINES


def test_others_have_their_own_count(log: Log) -> None:
    for number in range(OTHER_LINES + 10):
        log.logger.info("request %d", number)
    log.logger.info("a job")
    assert len(log.all.lines) == OTHER_LINES + 1
    assert log.trouble.lines == []


def test_after_a_while_the_line_is_written_again(log: Log) -> None:
    for _ in range(2):
        for _ in range(TROUBLE_LINES):
            log.logger.error("x")
        log.now += WINDOW_SECONDS
    assert log.all.lines == ["x"] * 2 * TROUBLE_LINES


def test_what_is_left_out_at_the_end_is_said(log: Log) -> None:
    for _ in range(TROUBLE_LINES + 1):
        log.logger.error("x")
    log.limit.close()
    assert log.all.lines[-1] == '"x" was repeated 1 times'


def test_lines_that_are_invented_take_no_memory(log: Log) -> None:
    for number in range(3 * MAX_KINDS):
        log.logger.error("x" * (number % 100) + "y" * (number // 100))
    assert len(log.all.lines) <= MAX_KINDS + TROUBLE_LINES
