"""i2v.workers.leaks: floors that rise, fall and belong to different setups."""

from __future__ import annotations

import pytest

from i2v.workers.leaks import LeakDetector


@pytest.mark.parametrize(
    ("floors", "creeping"),
    [
        ([100, 100, 100, 100, 100], 0),
        ([100, 111, 111, 111], 4),
        ([100, 110, 110, 110, 110], 0),  # as much as is allowed
        ([100, 111, 111, 105, 111, 111], 0),  # no three in a row
        ([100, 111, 111, 105, 111, 111, 111], 7),
        ([100, 50, 105, 105, 105], 0),  # the first one counts
    ],
)
def test_three_jobs_in_a_row_over_what_is_allowed_are_creeping(floors: list[int], creeping: int) -> None:
    watch = LeakDetector(10)
    reported = [watch.creeps("setup", (floor, 0)) for floor in floors]
    assert reported == [number == creeping for number in range(1, len(floors) + 1)]


def test_each_setup_has_a_floor_of_its_own_which_is_not_forgotten() -> None:
    watch = LeakDetector(10)
    reported = [
        watch.creeps(setup, (floor, 0))
        for setup, floor in [("a", 100), ("b", 900), ("b", 905), ("a", 111), ("b", 911), ("a", 111)]
    ]
    assert reported == [False] * 5 + [True]


def test_either_memory_may_creep() -> None:
    watch = LeakDetector(10)
    assert [watch.creeps("setup", (5, device)) for device in (0, 20, 30, 40)] == [False, False, False, True]
    assert watch.risen == 40
