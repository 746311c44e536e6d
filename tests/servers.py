"""Server processes for tests: started as a person starts them, ended whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2v.core.settings_sources import ROOT

APP = [sys.executable, str(ROOT / "app.py")]


def staged(folder: Path, host: str = "127.0.0.1") -> list[str]:
    """Return the command of a server with the rehearsal engine."""
    return [sys.executable, "-m", "tests.staged", str(folder), "0", host]


def environment_in(folder: Path) -> dict[str, str]:
    """Return an environment that makes a server keep everything in `folder`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return {
        **clean,
        "I2V_DATA_DIR": str(folder / "data"),
        "I2V_OUTPUT__DIRECTORY": str(folder / "videos"),
        "I2V_ENGINE__THREADS": "1",
        "I2V_SERVER__PAGE": "false",  # Gradio takes seconds to load
        "OMP_NUM_THREADS": "1",
    }


@dataclass
class Server:
    """A server process that has said where it listens, and what it said up to there."""

    process: subprocess.Popen[str]
    url: str
    log: Path | None
    said: str

    def end(self, number: int = signal.SIGTERM) -> int:
        """Return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def launched(
    command: list[str], folder: Path, page: bool = False, stderr: int = subprocess.PIPE
) -> Iterator[Server]:
    """Start a server and end it at the end. A pipe holds 64 KB of standard error; more stops the server."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment_in(folder) | {"I2V_SERVER__PAGE": str(page)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    log: Path | None = None
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Log: "):
                log = Path(line.removeprefix("Log: ").rstrip())
            elif address := re.search(r"i2v listens at (http://[\d.]+:\d+) ", line):
                yield Server(process, address[1], log, said)
                return
        raise AssertionError(said + (process.communicate(timeout=30)[1] or ""))
    finally:
        process.kill()
        process.communicate()
        if log is not None and log.parent == ROOT / "logs":  # of app.py, which writes it beside itself
            log.unlink(missing_ok=True)
