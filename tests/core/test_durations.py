"""i2v.core.durations: times in one unit, in both languages."""

from __future__ import annotations

import pytest

from i2v.core.durations import duration


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0.2, "1 s", "1 秒"),
        (7.6, "8 s", "8 秒"),
        (34, "35 s", "35 秒"),
        (84, "85 s", "85 秒"),
        (90, "2 min", "2 分钟"),
        (3600, "60 min", "60 分钟"),
        (5400, "2 h", "2 小时"),
        (100_000, "28 h", "28 小时"),
        (10**7, "116 d", "116 天"),
    ],
)
def test_a_time_is_in_one_unit(seconds: float, english: str, chinese: str) -> None:
    assert duration(seconds) == english
    assert duration(seconds, "zh-CN") == chinese
