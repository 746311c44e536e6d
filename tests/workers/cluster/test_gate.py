"""workers.cluster.gate: many lanes ask no more than a few would, and none is kept from its job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.workers.cluster import gate
from i2v.workers.cluster.gate import Gate
from tests.rehearsal import stage, submit


class Bench:
    """A gate with a clock of its own, which stands still while the store is asked unless that takes time."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self.settings = settings
        self.store = store
        self.now = 0.0
        self.took = 0.0  # seconds, each question
        self.asked = 0
        self._ask = store.queue.claimable
        store.queue.claimable = self._claimable  # type: ignore[method-assign]
        self.gate = Gate(store.queue, lambda: self.now)

    def _claimable(self, device: str | None, limit: int) -> list[str]:
        self.asked += 1
        self.now += self.took
        return self._ask(device, limit)

    def passing(self, lanes: int, kind: str = "alike") -> list[int]:
        passed = [lane for lane in range(lanes) if self.gate.lets_pass(f"node{lane}/cpu", kind)]
        for _ in passed:
            self.gate.leave()
        return passed


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = stage(tmp_path)
    with closing(JobStore(settings.database)) as store:
        yield Bench(settings, store)


def test_as_many_pass_as_there_are_jobs_and_one_question_is_enough(bench: Bench) -> None:
    for _ in range(3):
        submit(bench.store, bench.settings)
    assert bench.passing(100) == [0, 1, 2]
    assert bench.asked == 1
    bench.now += gate.FRESH_SECONDS
    assert bench.passing(100) == [0, 1, 2], "they were not claimed"
    assert bench.asked == 2


def test_of_a_long_queue_some_pass_at_a_time(bench: Bench) -> None:
    for _ in range(2 * gate.LIMIT):
        submit(bench.store, bench.settings)
    assert len(bench.passing(100)) == gate.LIMIT
    bench.now += gate.FRESH_SECONDS
    assert len(bench.passing(100)) == gate.LIMIT


def test_no_more_are_inside_at_a_time(bench: Bench) -> None:
    for _ in range(2 * gate.LIMIT):
        submit(bench.store, bench.settings)
    for second in range(3):
        bench.now = float(second)
        inside = [lane for lane in range(100) if bench.gate.lets_pass(f"node{lane}/cpu", "alike")]
        assert len(inside) == (0 if second else gate.LIMIT)
    bench.gate.leave()
    assert bench.gate.lets_pass("node9/cpu", "alike")


def test_a_lane_whose_device_is_asked_for_is_told_for_itself(bench: Bench) -> None:
    submit(bench.store, bench.settings, device="node7/cpu")
    bench.store.devices.replace(["node7/cpu"])
    assert bench.passing(10) == [7]


def test_asking_takes_a_share_of_the_time_at_most(bench: Bench) -> None:
    bench.took = 1.0
    for second in range(100):
        bench.now = max(bench.now, float(second))
        bench.passing(5, kind=f"kind {second}")
    assert bench.asked <= 100 * gate.SHARE + 1


def test_a_queue_that_takes_long_to_read_keeps_nobody_waiting_for_ever(bench: Bench) -> None:
    bench.took = 1.0
    assert bench.passing(3) == []
    submit(bench.store, bench.settings)
    bench.now += 10
    assert len(bench.passing(3)) == 1
