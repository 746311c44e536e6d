"""i2v.cli.main: what holds for every command."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.running import generate, run, run_here


def test_version_and_help(environment: dict[str, str]) -> None:
    assert re.fullmatch(r"i2v \d+\.\d+\.\d+\n", run(environment, "--version").stdout)
    help_text = run_here(environment, "generate", "--help").stdout
    for flag in ("--prompt", "--preset", "--negative-prompt", "--resolution", "--fit", "--height", "--width"):
        assert flag in help_text
    assert "examples:" in help_text


def test_an_unforeseen_error_is_one_line_and_the_traceback_goes_to_a_file(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    # a library that breaks: stands for whatever nobody thought of
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "numpy.py").write_text("raise RuntimeError('boom')")
    done = generate({**environment, "PYTHONPATH": str(broken)}, picture)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "RuntimeError" in line
    log = Path(line.partition("Details are in ")[2].rstrip("."))
    try:
        assert "boom" in log.read_text()
    finally:
        log.unlink()
