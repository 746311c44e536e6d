"""`i2v`, `python -m i2v`, `app.py` and the launcher: what a signal does while they are still being loaded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from tests.cli.running import command
from tests.servers import APP, environment_in

PLAN = ("plan", "--vram", "8", "--json")
WAYS = {
    "module": command(*PLAN),
    "app": [*APP, "--port", "0"],
    "launcher": ["bash", "scripts/start_app.sh", "--foreground", "--port", "0"],
}
# Stands for what the command line loads: loading goes on until a signal ends it. In short sleeps,
# because Python sees a signal that comes just before a sleep only after it.
LOADING = """
import time
print("loading", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_in(tmp_path) | {"I2V_PYTHON": sys.executable}


@pytest.fixture
def loading(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which the command line is loaded and loaded."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "pydantic.py").write_text(LOADING)
    return environment | {"PYTHONPATH": str(tmp_path / "slow")}


def started(
    arguments: list[str], environment: dict[str, str], prepare: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )


def wait_until_loading(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(line == "loading\n" for line in process.stdout), "it has ended"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", WAYS)
def test_a_signal_during_loading_ends_the_process_in_one_line(
    loading: dict[str, str], way: str, number: signal.Signals
) -> None:
    with started(WAYS[way], loading) as process:
        wait_until_loading(process)
        os.killpg(process.pid, number)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints == "i2v: Interrupted. No files were left behind.\n"


def test_a_signal_that_is_ignored_stays_so(loading: dict[str, str]) -> None:
    with started(WAYS["module"], loading, lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        wait_until_loading(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read().count("Interrupted") == 1, "that of SIGTERM"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", [*WAYS, "script"])
def test_whatever_the_moment_no_line_of_ours_is_in_a_traceback(
    environment: dict[str, str], way: str, number: signal.Signals
) -> None:
    """Python's own start cannot be kept from showing one: it takes a few hundredths of a second."""
    script = shutil.which("i2v", path=str(Path(sys.executable).parent))
    if way == "script" and script is None:
        pytest.skip("the package is not installed here")
    arguments = WAYS[way] if way != "script" else [str(script), *PLAN]
    codes = set()
    for delay in range(0, 500, 20):
        with started(arguments, environment) as process:
            time.sleep(delay / 1000)
            os.killpg(process.pid, number)
            _, complaints = process.communicate(timeout=60)
        codes.add(process.returncode)
        if "Traceback" in complaints:
            assert number == signal.SIGINT
            assert str(ROOT / "i2v") not in complaints, (delay, complaints)
            assert str(ROOT / "app.py") not in complaints, (delay, complaints)
        else:
            assert process.returncode in (0, 130, -number), (delay, complaints)
    assert 130 in codes
