"""benchmarks.recovery: its percentiles; the kills themselves are those of `tests/test_ray_survival.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from benchmarks.recovery import percentile


def test_a_percentile_is_one_of_the_values() -> None:
    seconds = [float(number) for number in range(1, 101)]
    assert (percentile(seconds, 0.5), percentile(seconds, 0.99)) == (51.0, 100.0)
    assert percentile([2.0], 0.99) == 2.0
