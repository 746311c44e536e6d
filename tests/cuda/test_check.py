"""The check on a card, without one: it runs to its end, and a part that takes too long is ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from i2v.weights import EMBEDDED_FOLDER
from scripts.cuda_check.parts import PARTS, run_part
from scripts.cuda_check.report import table
from scripts.cuda_check.rows import Row, Skipped, Task, read_rows
from scripts.cuda_check.tests import files
from scripts.cuda_check.wheels import Package, missing, normal, write_metadata


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("evaluation", "cpu", EMBEDDED_FOLDER, tmp_path / "rows.jsonl", tmp_path, 60)


def test_rows_are_there_at_once_whatever_becomes_of_the_rest(task: Task) -> None:
    def fail() -> dict[str, object]:
        raise ValueError("no such thing")

    def skip() -> dict[str, object]:
        raise Skipped("no card")

    assert task.attempt("one", lambda: {"milliseconds": 1.5}) == {"milliseconds": 1.5}
    assert task.attempt("two", fail) is None
    assert task.attempt("three", skip) is None
    with task.rows.open("a") as file:
        file.write('{"part": "cut')
    detail = [(row.name, row.status, row.detail) for row in read_rows(task.rows)]
    assert detail == [
        ("one", "ok", None), ("two", "failed", "ValueError: no such thing"), ("three", "skipped", "no card"),
    ]  # fmt: skip
    assert Task.from_json(task.to_json()) == task


def test_a_part_that_takes_too_long_is_ended_with_all_that_it_started(
    task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nsleep 300 &\necho $! >>pid\nwait\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    monkeypatch.setattr("scripts.cuda_check.parts.ROOT", tmp_path)
    for seconds in (0.5, 10):  # a busy machine may not have started anything in so little
        task.rows.unlink(missing_ok=True)
        start = time.monotonic()
        run_part(Task(**{**vars(task), "seconds": seconds}))
        assert time.monotonic() - start < 120  # of 300
        (row,) = read_rows(task.rows)
        assert (row.status, row.detail) == ("failed", f"ended at its limit of {seconds:.0f} s, after 0 rows")
        if (tmp_path / "pid").exists():
            break
    child = Path("/proc") / (tmp_path / "pid").read_text().strip()
    assert not child.exists() or "Z" in (child / "stat").read_text()


def test_a_part_whose_process_fails_says_its_last_words(task: Task) -> None:
    run_part(Task(**{**vars(task), "part": "no_such_part"}))
    (row,) = read_rows(task.rows)
    assert row.status == "failed"
    assert "No module named scripts.cuda_check.no_such_part" in str(row.detail)


def test_every_part_is_a_module() -> None:
    for part in PARTS:
        assert (ROOT / "scripts" / "cuda_check" / f"{part.name}.py").is_file()


def test_the_tests_for_a_card_are_found() -> None:
    assert ROOT / "tests" / "cuda" / "test_parity.py" in files()


def test_the_table_says_what_failed_and_how_fast_it_is() -> None:
    detail = table([
        Row("evaluation", "512 x 512 x 16, plain", figures={
            "milliseconds": 200.5, "peak_bytes_over_weights": 2**30, "stock_over_this": 1.04,
        }),
        Row("clips", "512 x 512 x 16, ours", figures={"seconds": {"clip": 10.9}}),
        Row("tests", "a", "failed", "AssertionError: no"),
    ])  # fmt: skip
    assert "512 x 512 x 16, plain                    200.5        1.04       1.00 GiB" in detail
    assert "clip 512 x 512 x 16, ours: 10.90 s" in detail
    assert "1 failed\n  tests: a: AssertionError: no" in detail


def test_a_machine_gets_what_it_lacks_and_not_what_a_package_it_has_needs() -> None:
    packages = {
        name: Package(name, "1", needs)
        for name, needs in {
            "gradio": ("fastapi", "pandas"), "fastapi": ("pydantic",), "pandas": ("numpy",), "pydantic": (),
            "torch": ("nvidia-cublas",), "nvidia-cublas": (), "numpy": (),
        }.items()
    }  # fmt: skip
    have = ("torch", "nvidia-*", "pandas")
    assert missing(packages, ["gradio", "torch"], have).keys() == {"gradio", "fastapi", "pydantic"}
    assert normal("Hf_Xet.x") == "hf-xet-x"


def test_the_packages_for_another_machine_say_what_i2v_needs(tmp_path: Path) -> None:
    write_metadata(tmp_path)
    (found,) = metadata.distributions(path=[str(tmp_path)])
    own = metadata.distribution("i2v")
    assert (found.version, sorted(found.requires or ())) == (own.version, sorted(own.requires or ()))
    assert found.metadata["Requires-Python"] == own.metadata["Requires-Python"]


@pytest.mark.slow
def test_without_a_card_it_runs_to_its_end(tmp_path: Path) -> None:
    """The parts that take seconds on a CPU; the slow test below runs all of them."""
    rows = run_check(tmp_path, "environment,faults")
    assert [row for row in rows if row["status"] == "failed"] == []
    assert {"machine"} <= {row["name"] for row in rows}


@pytest.mark.slow
def test_without_a_card_all_of_it_runs_to_its_end(tmp_path: Path) -> None:
    rows = run_check(tmp_path, ",".join(part.name for part in PARTS))
    assert [row for row in rows if row["status"] == "failed"] == []
    assert {row["part"] for row in rows} == {part.name for part in PARTS}
    assert {row["status"] for row in rows if row["part"] == "tests"} == {"ok", "skipped"}
    names = {row["name"] for row in rows}
    assert {"64 x 64 x 4, plain", "64 x 64 x 4, errors in bfloat16", "64 x 64 x 4, ours"} <= names


def run_check(out: Path, parts: str) -> list[dict[str, object]]:
    line = [sys.executable, "-m", "scripts.cuda_check", "--tiny", "--minutes", "30", "--out", str(out)]
    done = subprocess.run(
        [*line, "--only", parts], cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    detail: list[dict[str, object]] = json.loads((out / "check.json").read_text())["rows"]
    return detail
