"""Which parts the check has, in their order, and how one is run: in a process of its own, with a time limit.

What a part's process leaves behind when it is ended, its children included, is ended with it. Deliberately
does not know what is measured.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from i2v.core.settings_sources import ROOT
from scripts.cuda_check.rows import Row, Task, read_rows


@dataclass(frozen=True)
class Part:
    """`seconds`: its limit in a check of 8 minutes; longer and shorter ones have it in proportion."""

    name: str
    seconds: float


# Whether it is right comes before how fast it is, and what may be cut off comes last.
PARTS = (
    Part("environment", 30),
    Part("tests", 150),
    Part("faults", 60),
    Part("evaluation", 100),
    Part("clips", 120),
    Part("kernels", 30),
    Part("presets", 60),
    Part("wan", 120),
    Part("compiled", 120),
)
USUAL_SECONDS = 480.0
LEAST_SECONDS = 5.0
FAREWELL = 5.0  # seconds for the end of a process that was asked to end


def run_part(task: Task) -> None:
    """Run `scripts.cuda_check.PART`, and add a row of its own that says how it ended."""
    before = len(read_rows(task.rows))
    command = [sys.executable, "-m", f"scripts.cuda_check.{task.part}", task.to_json()]
    start = time.monotonic()
    log = task.scratch / f"{task.part}.log"
    # tiny tensors: more threads only wait for one another
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if task.is_tiny else None
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(task.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
    seconds = round(time.monotonic() - start, 1)
    rows = read_rows(task.rows)[before:]
    if code is None:
        detail = f"ended at its limit of {task.seconds:.0f} s, after {len(rows)} rows"
        task.add(Row(task.part, "whole part", "failed", detail, seconds))
    elif code:
        last = (log.read_text(errors="replace").strip().splitlines() or [""])[-1][:300]
        task.add(Row(task.part, "whole part", "failed", f"ended with status {code}: {last}", seconds))
    else:
        task.add(Row(task.part, "whole part", "ok", None, seconds))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; nothing where all have ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            continue
