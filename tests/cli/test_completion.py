"""i2v completion: the scripts, and what bash makes of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import run_here


def script(environment: dict[str, str], shell: str) -> str:
    done = run_here(environment, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("line", "expected"), [
    ("i2v gen", {"generate"}), ("i2v jobs re", {"retry", "restore", "resume"}),
    ("i2v generate --neg", {"--negative-prompt"}), ("i2v completion ", {"bash", "zsh", "fish"}),
    ("i2v batch ph", {"photo.jpg", "photos"}),
    ("i2v batch --output ph", {"photos"}),
])  # fmt: skip
def test_bash_completes(environment: dict[str, str], tmp_path: Path, line: str, expected: set[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.jpg").touch()
    words = line.split(" ")
    ask = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
    ask += f"_shtab_i2v i2v {words[-1]!r} {words[-2]!r}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(
        ["bash", "-c", f"{script(environment, 'bash')}\n{ask}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {found.rstrip("/ ") for found in done.stdout.splitlines()} == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_can_read_theirs(environment: dict[str, str], shell: str) -> None:
    text = script(environment, shell)
    assert "negative-prompt" in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_another_shell_is_refused(environment: dict[str, str]) -> None:
    assert run_here(environment, "completion", "tcsh").returncode == 2
