"""The tests marked `cuda`, each one a row as soon as it has ended.

Only files that hold such tests are collected: others import what a bare machine has not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from scripts.cuda_check.rows import Row, Status, Task

MARK = "pytest.mark.cuda"


class Teller:
    """A pytest plugin: rows out of reports."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            status: Status = "ok" if report.passed else "skipped" if report.skipped else "failed"
            detail = None if report.passed else _reason(report)
            name = report.nodeid.removeprefix("tests/")
            self._task.add(Row("tests", name, status, detail, round(report.duration, 2)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            status: Status = "skipped" if report.skipped else "failed"
            self._task.add(Row("tests", report.nodeid.removeprefix("tests/"), status, _reason(report)))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skip: file, line, reason
        return str(report.longrepr[2])[:400]
    lines = [line.removeprefix("E").strip() for line in report.longreprtext.splitlines() if line[:1] == "E"]
    return " ".join(lines[:3])[:400] or report.longreprtext[-400:]


def files(root: Path = ROOT) -> list[Path]:
    """Return the files with such tests."""
    found = (root / "tests").rglob("test_*.py")
    return sorted(path for path in found if path.parent.name == "cuda" or MARK in path.read_text("utf-8"))


def main() -> int:
    task = Task.from_json(sys.argv[1])
    found = [str(path.relative_to(ROOT)) for path in files()]
    if not found:  # pytest would take that for all
        task.add(Row("tests", "all", "failed", f"no test has {MARK}"))
        return 0
    # other versions of libraries than the tested ones may warn of other things
    usual = ["-q", "-p", "no:cacheprovider", "-m", "cuda", "-o", "filterwarnings=default", "--tb=short"]
    code = pytest.main([*usual, *found], plugins=[Teller(task)])
    return 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else int(code)


if __name__ == "__main__":
    sys.exit(main())
