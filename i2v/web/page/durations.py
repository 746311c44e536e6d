"""Times as the page says them."""

from __future__ import annotations

from i2v.core.schema import Language
from i2v.web.texts import text

_UNITS = ((86400, "time.days"), (3600, "time.hours"), (60, "time.minutes"), (1, "time.seconds"))


def duration(seconds: float, language: Language) -> str:
    """Return about so much time, in one unit: "40 s", "3 min"."""
    size, key = next(unit for unit in _UNITS if seconds >= 1.5 * unit[0] or unit[0] == 1)
    count = max(1, round(seconds / size))
    if size == 1 and count > 10:
        count = 5 * round(count / 5)  # so that it does not change all the time
    return text(key, language, count=count)
