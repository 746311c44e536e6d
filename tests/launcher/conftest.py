"""A launcher whose server has the rehearsal engine and lives in the test's folder."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from i2v.core.settings_sources import ROOT
from i2v.host.service_lock import find_holder
from i2v.launcher.start import Launcher
from i2v.launcher.terminal import Terminal
from tests.rehearsal import stage


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def holding_port(port: int) -> Iterator[subprocess.Popen[str]]:
    """Let another process listen at `port`."""
    script = (
        f"import socket; s = socket.create_server(('127.0.0.1', {port})); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate("\n")


def make_launcher(folder: Path, port: int, host: str = "127.0.0.1") -> Launcher:
    settings = stage(folder, server__port=port, server__host=host)
    # The launcher itself knows the engines that everybody has.
    engine = settings.engine.model_copy(update={"name": "auto"})
    settings = settings.model_copy(update={"engine": engine})
    server = (sys.executable, "-m", "tests.staged", str(folder), str(port), host)
    return Launcher(settings, (), Terminal("en", colours=False), server, patience=60)


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.chdir(ROOT)  # for `-m tests.staged`
    yield make_launcher(tmp_path, free_port())
    end_service(tmp_path / "data")


def end_service(data_dir: Path) -> None:
    holder = find_holder(data_dir)
    if holder is not None and (process := holder.process(data_dir)) is not None:
        process.terminate()
        psutil.wait_procs([process], 60)
