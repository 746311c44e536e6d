"""How tests run the command line: as a person does, in a process of its own, or in this one.

A process takes seconds to load torch. It is for tests of what a process adds: signals, terminals, exit
codes, the same result elsewhere.
"""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from i2v.cli.main import main

PROMPT = "the camera pans left"
FRAMES = 4
SHORT = ("--preset", "quick", "--num-frames", str(FRAMES), "--num-inference-steps", "1")  # nothing is cheaper

SILENCE_SECONDS = 120  # far more than a step takes, however busy the machine is


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "i2v", *map(str, arguments)]


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def run_here(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, and return what a process of its own would have."""
    given = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            code = main(given)
        except SystemExit as end:  # argparse's way
            code = int(end.code or 0)
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())


def generate(
    environment: dict[str, str], picture: Path, *more: str | Path, prompt: str = PROMPT
) -> subprocess.CompletedProcess[str]:
    return run(environment, *_short_clip(picture, prompt), *more)


def generate_here(
    environment: dict[str, str], picture: Path, *more: str | Path, prompt: str = PROMPT
) -> subprocess.CompletedProcess[str]:
    return run_here(environment, *_short_clip(picture, prompt), *more)


def _short_clip(picture: Path, prompt: str) -> list[str | Path]:
    return ["generate", picture, "--prompt", prompt, *SHORT]


def read_terminal(ours: int, until: bytes) -> bytes:
    """Return what a terminal was shown, up to `until` or its end; fail where nothing comes any more."""
    shown = b""
    try:
        while until not in shown:
            ready, _, _ = select.select([ours], [], [], SILENCE_SECONDS)
            assert ready, f"{until!r} does not come after {shown[-200:]!r}"
            shown += os.read(ours, 4096)
    except OSError:  # Linux tells the end of a terminal by an error
        return shown
    return shown
