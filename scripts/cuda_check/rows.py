"""What the check finds out, row by row: appended to a file at once, so that nothing is lost by an early end.

A row is one JSON line, {part, name, status, detail, seconds, figures}: `status` is ok, failed or skipped,
`detail` a sentence or null. `figures` are named after their units where the name does not say them.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Status = Literal["ok", "failed", "skipped"]
Figures = dict[str, object]


class Skipped(Exception):
    """Something cannot be tried here; says why."""


@dataclass(frozen=True)
class Row:
    part: str
    name: str
    status: Status = "ok"
    detail: str | None = None
    seconds: float | None = None
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a part is given.

    Attributes:
        device: "cuda", or "cpu" where there is no card: all is tiny then.
        folder: of the weights.
        rows: the file that takes rows.
        scratch: a folder for anything else.
        seconds: that the part may take; it is ended then.
    """

    part: str
    device: Literal["cuda", "cpu"]
    folder: Path
    rows: Path
    scratch: Path
    seconds: float

    @property
    def is_tiny(self) -> bool:
        return self.device == "cpu"

    def add(self, row: Row) -> None:
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")

    def attempt(self, name: str, work: Callable[[], Figures], detail: str | None = None) -> Figures | None:
        """Add the row of `work`; return its figures, `None` where it failed or was skipped."""
        start = time.monotonic()
        figures: Figures = {}
        status: Status = "ok"
        try:
            figures = work()
        except Skipped as reason:
            status, detail = "skipped", str(reason)
        except Exception as error:  # the other rows are wanted all the same
            traceback.print_exc()
            status, detail = "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        self.add(Row(self.part, name, status, detail, round(time.monotonic() - start, 2), figures))
        return figures if status == "ok" else None

    def to_json(self) -> str:
        return json.dumps({name: str(v) if isinstance(v, Path) else v for name, v in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> Task:
        stored = json.loads(text)
        return cls(**{**stored, **{name: Path(stored[name]) for name in ("folder", "rows", "scratch")}})


def read_rows(path: Path) -> list[Row]:
    """Return the rows so far; a last line that was cut is left out."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [Row(**json.loads(line)) for line in lines[:-1]]
