"""Checks of `i2v bench` as parts: its rows become ours as they come."""

from __future__ import annotations

import os
from collections.abc import Sequence

from i2v.bench import report
from i2v.bench.run import Asked, Bench
from i2v.bench.table import line
from scripts.cuda_check.rows import Row, Task
from scripts.cuda_check.subjects import settings_of, spec_of


class Screen:
    """See `i2v.bench.run.Screen`."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def show(self, name: str, left: float | None) -> None:
        print(name, left, flush=True)

    def add(self, row: report.Row) -> None:
        print(line(row), flush=True)
        shown = Row(
            self._task.part, f"{row.check}, {row.name}", row.status, row.message, row.seconds, row.figures
        )
        self._task.add(shown)


def run_bench(task: Task, checks: Sequence[str], is_quick: bool) -> None:
    if task.is_tiny:
        why = "without a card: tests/cli/test_bench.py runs it, marked slow"
        task.add(Row(task.part, "all", "skipped", why))
        return
    bench = Bench(
        settings_of(task),
        Asked(spec_of(task).name, checks, is_quick),
        os.environ,
        task.scratch,
        Screen(task),
    )
    bench.run(task.scratch / f"{task.part}.json")
