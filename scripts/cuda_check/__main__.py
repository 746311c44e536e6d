"""`python -m scripts.cuda_check [--minutes 8]`: every part in turn, a table and a JSON file at the end.

Exit codes: 0 all that was tried passed; 1 something failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch

from i2v.core.settings_sources import ROOT
from i2v.weights import EMBEDDED_FOLDER
from scripts.cuda_check.parts import LEAST_SECONDS, PARTS, USUAL_SECONDS, end_group, run_part
from scripts.cuda_check.report import line, table
from scripts.cuda_check.rows import Row, Task, read_rows

NAMES = tuple(part.name for part in PARTS)
NEED_WEIGHTS = ("faults", "evaluation", "clips", "kernels", "presets", "compiled")


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    device: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() and not options.tiny else "cpu"
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "rows.jsonl"
    rows.unlink(missing_ok=True)
    deadline = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="cuda-check-") as folder:
        scratch = Path(folder)
        weights = (
            EMBEDDED_FOLDER if device == "cpu" else (options.weights or scratch / "models" / "i2vgen-xl")
        )

        def task(part: str, seconds: float) -> Task:
            return Task(part, device, weights, rows, scratch, seconds)

        is_written = device == "cpu" or options.weights is not None
        writing = None if is_written else _start_writing(task("weights", 60 * options.minutes))
        shown = 0
        try:
            for part in PARTS:
                if part.name not in options.only:
                    continue
                if writing is not None and part.name in NEED_WEIGHTS:
                    with suppress(subprocess.TimeoutExpired):  # the rows will say that they are not there
                        writing.wait(max(1.0, deadline - time.monotonic()))
                left = deadline - time.monotonic()
                limit = min(left, part.seconds * 60 * options.minutes / USUAL_SECONDS)
                if left < LEAST_SECONDS:
                    detail = f"the {options.minutes:g} minutes were over"
                    task(part.name, 0).add(Row(part.name, "whole part", "skipped", detail))
                else:
                    run_part(task(part.name, limit))
                found = read_rows(rows)
                print("\n".join(map(line, found[shown:])), flush=True)
                shown = len(found)
        finally:
            if writing is not None:
                end_group(writing)
        for log in scratch.glob("*.log"):
            (options.out / log.name).write_bytes(log.read_bytes()[-(2**20) :])
    return _finish(options.out, read_rows(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/cuda_check.sh", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything (default: 8)")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "cuda_check", help="for results")
    parser.add_argument(
        "--weights", type=Path, help="a folder of I2VGen-XL, named i2vgen-xl; else random ones"
    )
    parser.add_argument("--only", type=_names, default=NAMES, metavar="PARTS", help=", ".join(NAMES))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes on the CPU, also where a card is")
    return parser


def _names(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return chosen


def _start_writing(task: Task) -> subprocess.Popen[bytes]:
    """Start to write random weights, which takes as long as the first parts do."""
    command = [sys.executable, "-m", "scripts.cuda_check.weights", task.to_json()]
    log = task.scratch / "weights.log"
    with log.open("wb") as file:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def _finish(out: Path, rows: list[Row]) -> int:
    """Write `check.json`, print the table, and return the exit code."""
    (out / "check.json").write_text(
        json.dumps({"schema": 1, "rows": [vars(row) for row in rows]}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    print(table(rows))
    print(f"All rows: {out / 'check.json'}; logs beside it")
    return int(any(row.status == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
