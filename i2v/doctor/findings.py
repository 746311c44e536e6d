"""What a check reports. Knows no check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from i2v.core.errors import I2VError, Notice

Status = Literal["ok", "info", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it stands, what was found and, where something can be done, what.

    `found` is an error where the program itself would end with that error.
    """

    status: Status
    found: Notice | I2VError
    fix: Notice | None = None

    def to_dict(self) -> dict[str, object]:
        fix = None if self.fix is None else self.fix.to_dict()
        return {"status": self.status, **self.found.to_dict(), "fix": fix}
