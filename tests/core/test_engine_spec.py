"""i2v.core.engine_spec: which numbers of frames an engine makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2v.core.engine_spec import FrameCounts

COUNTS = [
    (FrameCounts(), range(4, 129)),
    (FrameCounts(5, 81, step=4), range(5, 82, 4)),
    (FrameCounts(5, 80, step=4), range(5, 78, 4)),
    (FrameCounts(only=(14, 25)), (14, 25)),
]


@pytest.mark.parametrize(("counts", "allowed"), COUNTS)
def test_those_and_no_others_are_allowed(counts: FrameCounts, allowed: range | tuple[int, ...]) -> None:
    assert [number for number in range(200) if counts.allows(number)] == list(allowed)


@pytest.mark.parametrize(("counts", "allowed"), COUNTS)
@given(number=st.integers(0, 5000))
def test_the_nearest_is_allowed_and_none_is_nearer(
    counts: FrameCounts, allowed: range | tuple[int, ...], number: int
) -> None:
    nearest = counts.nearest(number)
    assert nearest == min(allowed, key=lambda count: (abs(count - number), count))


def test_each_is_said_in_words() -> None:
    said = [str(counts) for counts, _ in COUNTS]
    assert said[:2] == ["a whole number from 4 to 128", "5, 9, 13 and so on up to 81"]
    assert said[3] == "one of 14, 25"
