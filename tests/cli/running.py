"""How tests run the command line: as a person does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROMPT = "the camera pans left"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "i2v", *map(str, arguments)]


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def generate(
    environment: dict[str, str], picture: Path, *more: str | Path, prompt: str = PROMPT
) -> subprocess.CompletedProcess[str]:
    return run(environment, "generate", picture, "--prompt", prompt, "--num-inference-steps", "2", *more)


def read_terminal(ours: int, until: bytes) -> bytes:
    """Return what a terminal was shown, up to `until` or its end."""
    shown = b""
    try:
        while until not in shown:
            shown += os.read(ours, 4096)
    except OSError:  # Linux tells the end of a terminal by an error
        return shown
    return shown
