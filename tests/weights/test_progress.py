"""Speed, time left, and the one place to stop a download."""

from __future__ import annotations

import pytest

from i2v.core.errors import Cancelled
from i2v.weights import progress
from i2v.weights.progress import TransferMeter, TransferProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_speed_is_that_of_the_last_seconds_and_the_time_left_follows_from_it(clock: list[float]) -> None:
    reported: list[TransferProgress] = []
    meter = TransferMeter(reported.append, lambda: False)
    meter.total, meter.settled = 10_000, 1000
    for second in range(31):
        clock[0] = second
        meter.report(
            "fetching", "hub", "file", 100 * second if second <= 10 else 1000 + 10 * (second - 10), 5000
        )
    assert reported[0].speed == 0
    assert reported[0].eta is None
    assert reported[10].speed == pytest.approx(100)
    assert reported[10].eta == pytest.approx(80)
    assert reported[30].speed == pytest.approx(10)
    assert (reported[30].done, reported[30].total, reported[30].file_bytes) == (2200, 10_000, 1200)


def test_a_file_that_is_begun_anew_has_no_negative_speed(clock: list[float]) -> None:
    reported: list[TransferProgress] = []
    meter = TransferMeter(reported.append, lambda: False)
    meter.total = 1000
    for second, done in enumerate((500, 600, 0, 100)):
        clock[0] = second
        meter.report("fetching", "hub", "file", done, 1000)
    assert [each.speed for each in reported] == [0, 100, 0, 100]


def test_only_fetching_has_a_speed(clock: list[float]) -> None:
    reported: list[TransferProgress] = []
    meter = TransferMeter(reported.append, lambda: False)
    meter.report("checking", None, "file", 10, 20)
    meter.report("pausing")
    assert [(each.speed, each.eta) for each in reported] == [(0, None), (0, None)]


def test_a_cancel_is_raised_before_anything_is_reported() -> None:
    reported: list[TransferProgress] = []
    with pytest.raises(Cancelled):
        TransferMeter(reported.append, lambda: True).report("waiting")
    assert reported == []


def test_a_quick_file_is_not_told_a_thousand_times(clock: list[float]) -> None:
    reported: list[TransferProgress] = []
    meter = TransferMeter(reported.append, lambda: False)
    for done in range(0, 1001):
        clock[0] = done / 1000
        meter.report("checking", None, "file", done, 1000)
    assert 5 < len(reported) < 15
    assert (reported[0].file_bytes, reported[-1].file_bytes) == (0, 1000)
