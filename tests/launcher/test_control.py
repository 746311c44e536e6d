"""i2v.launcher.control: stop, restart and status, and that no stranger is ever ended."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from i2v.host.service_lock import NAME, find_holder
from i2v.jobs.store import JobStore
from i2v.launcher.control import status, stop
from i2v.launcher.start import Launcher, start
from tests.rehearsal import picture
from tests.web.house import wait_for

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


def a_server_that_does_not_answer_is_not_called_well(launcher: Launcher, capsys: Captured) -> None:
    holder = find_holder(launcher.data_dir)
    assert holder is not None
    process = holder.process(launcher.data_dir)
    assert process is not None
    process.suspend()
    try:
        capsys.readouterr()
        assert status(launcher) == 1
    finally:
        process.resume()
    said = capsys.readouterr().out
    assert f"[SUCCESS] i2v is running: process {holder.pid}, since 20" in said
    assert f"[WARN] {holder.urls[0]} does not respond" in said
    assert not re.search("On this machine", said)
    assert Path(str(holder.log)).name in said


@pytest.mark.slow
def test_stop_puts_the_running_job_back_and_the_next_start_goes_on_with_it(
    launcher: Launcher, tmp_path: Path, capsys: Captured
) -> None:
    assert start(launcher) == 0
    api = f"http://127.0.0.1:{launcher.settings.server.port}/api/v1/jobs"
    form = {"prompt": f"step 1: wait {tmp_path}/go"}
    job = str(requests.post(api, data=form, files={"image": picture()}, timeout=60).json()["id"])
    wait_for(lambda: requests.get(f"{api}/{job}", timeout=30).json()["phase"] == "denoising", 60)
    capsys.readouterr()
    assert status(launcher) == 0
    assert "Jobs: 1 running, 0 waiting" in capsys.readouterr().out
    a_server_that_does_not_answer_is_not_called_well(launcher, capsys)

    assert stop(launcher) == 0
    assert "[SUCCESS] Stopped after " in capsys.readouterr().out
    assert find_holder(launcher.data_dir) is None
    assert JobStore(launcher.settings.database).get(job).status == "queued"
    assert status(launcher) == 3

    (tmp_path / "go").touch()
    assert start(launcher) == 0
    wait_for(lambda: requests.get(f"{api}/{job}", timeout=30).json()["status"] == "succeeded", 60)
    assert requests.get(f"{api}/{job}", timeout=30).json()["attempt"] == 2


def test_without_a_server_there_is_nothing_to_stop(launcher: Launcher, capsys: Captured) -> None:
    assert stop(launcher) == 0
    assert status(launcher) == 3
    assert capsys.readouterr().out.count("[INFO] i2v is not running") == 2


@pytest.mark.parametrize(("is_locked", "code"), [(False, 0), (True, 1)])
def test_a_process_that_only_has_the_number_is_left_alone(
    launcher: Launcher, is_locked: bool, code: int
) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger,
        (launcher.data_dir / NAME).open("w") as file,
    ):
        json.dump({"pid": stranger.pid, "urls": [], "log": None}, file)
        file.flush()
        if is_locked:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert stop(launcher) == code
        assert stranger.poll() is None
        stranger.communicate(b"\n")
