"""benchmarks.scaling, small: two workers finish more than one; shares are of the first one's throughput."""

from __future__ import annotations

import pytest

from benchmarks import scaling


@pytest.mark.slow
def test_two_workers_are_held_to_one() -> None:
    figures = scaling.run([1, 2], jobs=1, seconds=2.0, repeats=1)
    rates = figures["rates"]
    assert isinstance(rates, dict)
    (alone,), (both,) = rates[1], rates[2]
    assert 0 < alone < 0.5, "a job sleeps for two seconds"
    assert both > alone
    assert figures["linear"] == {1: 1.0, 2: pytest.approx(both / alone / 2)}
