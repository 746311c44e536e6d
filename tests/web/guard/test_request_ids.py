"""Request ids over HTTP: each answer has one; a trusted proxy's is kept; a job's log lines have it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from i2v.core.log_context import request_id_of
from tests.web.house import House

Start = Callable[..., AbstractContextManager[House]]


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str]]]:
    """What i2v logs, each line with its request's id."""
    found: list[tuple[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((record.getMessage(), request_id_of(record)))

    logger, handler = logging.getLogger("i2v"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_every_answer_has_an_id_of_its_own(shared_house: House) -> None:
    answers = [
        shared_house.get("/jobs"),
        shared_house.get("/jobs/unknown"),
        shared_house.get("/jobs", Host="evil.example"),
        shared_house.get("/nowhere"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 421, 404]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 16 for each in ids)


def test_an_id_of_a_stranger_is_not_kept(shared_house: House) -> None:
    assert shared_house.get("/jobs", **{"X-Request-Id": "mine"}).headers["X-Request-Id"] != "mine"


def test_an_id_of_a_trusted_proxy_is_kept_if_it_is_one(start_house: Start) -> None:
    with start_house(security__trusted_proxies="127.0.0.1") as house:
        for given, kept in (("proxy-1.a_B", True), ("two words", False), ("x" * 65, False), ("", False)):
            answer = house.get("/jobs", **{"X-Request-Id": given}).headers["X-Request-Id"]
            assert (answer == given) == kept, given


def test_a_job_s_lines_have_the_id_of_the_request_that_it_came_by(
    house: House, lines: list[tuple[str, str]]
) -> None:
    answer = house.submit()
    job_id, request_id = answer.json()["id"], answer.headers["X-Request-Id"]
    assert house.store.get(job_id).request_id == request_id
    house.executor.run_next()
    about = {line: each for line, each in lines if job_id in line}
    assert any("accepted" in line for line in about)
    assert any("succeeded" in line for line in about)
    assert set(about.values()) == {request_id}
