"""Times as people say them: "40 s", "3 min"."""

from __future__ import annotations

_UNITS = {  # seconds; in English, in Chinese
    "d": (86400, "天"),
    "h": (3600, "小时"),
    "min": (60, "分钟"),
    "s": (1, "秒"),
}


def duration(seconds: float, language: str = "en") -> str:
    """Return about so much time, in one unit. `language` is one of `i2v.core.schema.Language`."""
    unit = next(name for name, (size, _) in _UNITS.items() if seconds >= 1.5 * size or size == 1)
    size, chinese = _UNITS[unit]
    count = max(1, round(seconds / size))
    if size == 1 and count > 10:
        count = 5 * round(count / 5)  # so that it does not change all the time
    return f"{count} {chinese if language == 'zh-CN' else unit}"
