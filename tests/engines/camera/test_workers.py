"""Threads that share work: all of it is done, once, and exceptions come out."""

from __future__ import annotations

import threading

import pytest

from i2v.engines.camera.workers import Workers


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("total", [0, 1, 3, 100])
def test_all_the_work_is_done_once(count: int, total: int) -> None:
    done: list[int] = []
    with Workers(count) as workers:
        workers.spread(total, done.extend)
    assert sorted(done) == list(range(total))


def test_several_threads_work_at_once() -> None:
    together = threading.Barrier(2, timeout=60)
    with Workers(2) as workers:
        workers.spread(2, lambda _: together.wait() and None)


@pytest.mark.parametrize("count", [1, 2])
def test_an_exception_comes_out(count: int) -> None:
    def work(share: range) -> None:
        raise ZeroDivisionError(share)

    with Workers(count) as workers, pytest.raises(ZeroDivisionError):
        workers.spread(4, work)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with Workers(3) as workers:
        workers.spread(6, lambda share: None)
    assert threading.active_count() == before


def test_no_threads_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Workers(0)
