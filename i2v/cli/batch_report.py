"""The report of `i2v batch`: a line for each row, as CSV for people and as JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from i2v.core.errors import EncodeError

Outcome = Literal["made", "failed", "left"]  # the last: the command was ended before its turn


@dataclass
class Line:
    """What became of one row; `video`, `seed` and `seconds` where it was made, `error` where it failed."""

    number: int
    place: str
    picture: str
    outcome: Outcome = "left"
    video: str = ""
    seed: int | None = None
    seconds: float | None = None
    job: str = ""
    error: str = ""


def write_report(folder: Path, source: str, lines: Sequence[Line]) -> list[Path]:
    """Write `report.csv` and `report.json` in one step each; return where they are.

    Raises `EncodeError` (`batch.no_report`).
    """
    counts = Counter(line.outcome for line in lines)
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(Line)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    whole = {
        "source": source,
        "made": counts["made"],
        "failed": counts["failed"],
        "left": counts["left"],
        "rows": [asdict(line) for line in lines],
    }
    texts = {"report.csv": "\ufeff" + table.getvalue(), "report.json": json.dumps(whole, ensure_ascii=False)}
    return [_write(folder / name, text) for name, text in texts.items()]


def _write(path: Path, text: str) -> Path:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".report.", delete=False) as file:
            try:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise EncodeError("batch.no_report", path=str(path), reason=error.strerror or str(error)) from error
    return path
