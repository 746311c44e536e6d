"""scripts/start_app.sh as a person calls it: with the real launcher, server, page and worker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from i2v.core.settings_sources import ROOT
from i2v.host.service_lock import Holder, find_holder
from tests.launcher.conftest import end_service, free_port
from tests.servers import environment_in
from tests.web.house import wait_for

SCRIPT = ["bash", str(ROOT / "scripts" / "start_app.sh")]


class Machine:
    """Where the script is called: its environment, a port that is free, and the folder of the service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.logs: set[Path] = set()  # which it leaves in the repository's own folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment_in(folder) | {"I2V_PYTHON": sys.executable, "LC_ALL": "C.UTF-8"}

    def open(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*SCRIPT, *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def call(self, *options: str) -> tuple[int, str, str]:
        return self.finish(self.open(*options))

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        said, complaints = process.communicate(timeout=120)
        self.logs.update(map(Path, re.findall(r"Log: (.+)", said)))
        return process.returncode, said, complaints

    @property
    def holder(self) -> Holder:
        holder = find_holder(self.data_dir)
        assert holder is not None
        return holder


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    end_service(machine.data_dir)
    for log in machine.logs:
        log.unlink(missing_ok=True)


@pytest.mark.slow
def test_start_logs_status_restart_and_stop(machine: Machine) -> None:
    machine.environment["I2V_SERVER__PAGE"] = "true"
    code, said, complaints = machine.call("--port", str(machine.port))
    assert (code, complaints) == (0, "")
    assert said.splitlines()[1] == "🚀 Image-to-Video launcher"
    assert f"On this machine: {machine.url}\n" in said
    assert "\x1b" not in said
    assert "gradio" in requests.get(machine.url, timeout=60).text
    first = machine.holder.pid

    with machine.open("--logs") as process:  # it follows the running server's log
        assert process.stdout is not None
        requests.get(f"{machine.url}/api/v1/nothing", timeout=60)
        assert any("/api/v1/nothing" in line for line in process.stdout)
        process.kill()

    code, said, _ = machine.call()
    assert (code, f"already running (process {first})" in said) == (0, True)
    code, said, _ = machine.call("--status")
    assert (code, machine.url in said, "0 running, 0 waiting" in said) == (0, True, True)

    machine.environment["I2V_SERVER__PAGE"] = "false"  # which takes seconds to load
    code, said, _ = machine.call("--restart")
    assert (code, machine.url in said) == (0, True), "it comes back at the same port"
    assert machine.holder.pid != first
    assert not psutil.pid_exists(first)

    assert machine.call("--stop")[0] == 0
    assert machine.call("--status")[0] == 3


@pytest.mark.slow
def test_in_the_foreground_the_script_becomes_the_server_and_ends_as_it_does(machine: Machine) -> None:
    with machine.open("--foreground", "--port", str(machine.port)) as process:
        assert process.stdout is not None
        assert any(machine.url in line for line in process.stdout)
        assert machine.holder.pid == process.pid
        machine.logs.add(Path(str(machine.holder.log)))
        process.send_signal(signal.SIGTERM)
        code, said, complaints = machine.finish(process)
    assert (code, "goes back to the queue" in said) == (0, True)
    assert "Traceback" not in complaints


@pytest.mark.slow
def test_two_starts_at_once_end_in_one_server(machine: Machine) -> None:
    both = [machine.open("--port", str(machine.port)) for _ in range(2)]
    (first, one, _), (second, other, _) = (machine.finish(process) for process in both)
    assert (first, second) == (0, 0)
    said = [one, other]
    pid = machine.holder.pid
    assert sorted(bool(re.search(rf"Ready after .* \(process {pid}\)", text)) for text in said) == [
        False,
        True,
    ]
    assert sorted(f"It runs already (process {pid})" in text for text in said) == [False, True]


def test_an_unknown_option_starts_nothing(machine: Machine) -> None:
    code, _, complaints = machine.call("--prot", "7861")
    assert (code, "--prot" in complaints, "start_app.sh --help" in complaints) == (2, True, True)
    code, _, complaints = machine.call("--port", "x")
    assert (code, "server.port = x" in complaints) == (2, True)
    assert not machine.data_dir.exists()


@pytest.mark.slow
def test_sigterm_under_a_clip_of_the_real_model_loses_nothing(machine: Machine) -> None:
    """The embedded model, which takes seconds to load and seconds for a clip."""
    assert machine.call("--port", str(machine.port))[0] == 0
    api = f"{machine.url}/api/v1/jobs"
    form = {"prompt": "the camera pans left", "preset": "quick", "num_inference_steps": 60}
    picture = (ROOT / "examples" / "coffee.jpg").read_bytes()
    job = requests.post(api, data=form, files={"image": picture}, timeout=120).json()["id"]

    def state(key: str) -> object:
        return requests.get(f"{api}/{job}", timeout=30).json()[key]

    wait_for(lambda: state("phase") == "denoising", 120)
    os.kill(machine.holder.pid, signal.SIGTERM)
    wait_for(lambda: find_holder(machine.data_dir) is None, 60)
    assert not list((machine.folder / "videos").glob("*"))
    assert machine.call("--port", str(machine.port))[0] == 0
    wait_for(lambda: state("status") == "succeeded", 180)
    assert state("attempt") == 2
    assert len(list((machine.folder / "videos").glob("*.mp4"))) == 1
